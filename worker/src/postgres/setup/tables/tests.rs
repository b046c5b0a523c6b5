use crds::Reason;

use super::*;

fn relation(identity: &str) -> Relation {
    Relation {
        identity: identity.into(),
        primary_key: Some(Index { columns: vec![2, 1], immediate: true }),
        identity_index: Some(Index { columns: vec![1, 2, 3], immediate: true }),
        ..Relation::default()
    }
}

fn keyed(relation: &Relation) -> Result<Vec<i32>, Reason> {
    let name = TableName { schema: "public".into(), name: "t".into() };
    key(&name, relation).map(|key| key.columns.clone()).map_err(|fault| fault.reason)
}

#[test]
fn rows_that_do_not_come_whole_are_refused_where_all_tables_are_loaded_in_one_step() {
    let name = TableName::parse("public.t").unwrap();
    for (whole_rows, partial, expected) in
        [(false, true, None), (true, false, None), (true, true, Some(Reason::ReplicaIdentityInsufficient))]
    {
        let config = SourceConfig { whole_rows, ..crate::postgres::error::tests::config() };
        let partial_identity = partial.then(|| "t".to_owned());
        let catalogue = Catalogue::of(&name, Relation { partial_identity, ..relation("d") });
        let column = Column::new("c", Kind::Text, "text");
        let columns = vec![column.clone(), column];
        let (name, target) = (name.clone(), "t".to_owned());
        let table = Table {
            id: TableId(0),
            name,
            target,
            columns,
            key: vec![0],
            last_number: 2,
            facts: Default::default(),
        };
        let refused = whole(&config, &catalogue, table).err().map(|fault| fault.reason);
        assert_eq!(refused, expected, "{whole_rows} {partial}");
    }
}

#[test]
fn the_key_is_what_the_identity_sends_whole() {
    let weak = Err(Reason::ReplicaIdentityInsufficient);
    for (identity, expected) in
        [("d", Ok(vec![2, 1])), ("f", Ok(vec![2, 1])), ("i", Ok(vec![2, 1])), ("n", weak.clone())]
    {
        assert_eq!(keyed(&relation(identity)), expected, "{identity}");
    }
    let narrow = Some(Index { columns: vec![1], immediate: true });
    assert_eq!(keyed(&Relation { identity_index: narrow, ..relation("i") }), Ok(vec![1]));
    let deferrable = Some(Index { columns: vec![1], immediate: false });
    assert_eq!(keyed(&Relation { primary_key: deferrable, ..relation("d") }), weak);
    let partition = Some("public.t_2024".into());
    assert_eq!(keyed(&Relation { partition_without_identity: partition, ..relation("d") }), weak);
}

#[test]
fn without_a_primary_key_only_a_unique_index_will_do() {
    for (identity, expected) in [
        ("i", Ok(vec![1, 2, 3])),
        ("d", Err(Reason::PrimaryKeyMissing)),
        ("f", Err(Reason::PrimaryKeyMissing)),
        ("n", Err(Reason::PrimaryKeyMissing)),
    ] {
        assert_eq!(keyed(&Relation { primary_key: None, ..relation(identity) }), expected, "{identity}");
    }
}
