use super::*;
use crate::{
    schema_history::see,
    table::{TableId, TableName},
};

fn relation(names: &[&str]) -> Relation {
    let column =
        |name: &&str| RelationColumn { identity: true, name: (*name).to_owned(), type_oid: 25, typmod: -1 };
    let (schema, name) = ("public".to_owned(), "t".to_owned());
    Relation { oid: 7, schema, name, columns: names.iter().map(column).collect() }
}

fn now(columns: &[(i32, &str)]) -> Table {
    let column =
        |(number, name): &(i32, &str)| Column { number: *number, ..Column::new(*name, Kind::Text, "text") };
    Table {
        id: TableId(0),
        name: TableName::parse("t").unwrap(),
        target: "t".to_owned(),
        columns: columns.iter().map(column).collect(),
        key: vec![0],
        last_number: 9,
        facts: Default::default(),
    }
}

/// The numbers that rows of `names` have, where the shape of `seen` was seen at 10 and the catalogue shows `now`.
fn numbers(seen: &[(i32, &str)], now_is: &[(i32, &str)], names: &[&str]) -> Result<Vec<i32>, Unclear> {
    let mut shapes = Vec::new();
    see(&mut shapes, Lsn(10), known(&now(seen)));
    let columns = columns(&relation(names), &now(now_is), &shapes, Lsn(20), &HashMap::new());
    columns.map(|columns| columns.into_iter().map(|column| column.0).collect())
}

#[test]
fn a_shape_is_told_by_its_names() {
    let seen = [(1, "id"), (2, "a")];
    for (now, names, expected) in [
        // Nothing happened; ADD; DROP; RENAME; DROP and ADD.
        (&[(1, "id"), (2, "a")][..], &["id", "a"][..], &[1, 2][..]),
        (&[(1, "id"), (2, "a"), (3, "b")], &["id", "a", "b"], &[1, 2, 3]),
        (&[(1, "id")], &["id"], &[1]),
        (&[(1, "id"), (2, "b")], &["id", "b"], &[1, 2]),
        (&[(1, "id"), (3, "b")], &["id", "b"], &[1, 3]),
    ] {
        assert_eq!(numbers(&seen, now, names).as_deref(), Ok(expected), "{now:?}");
        assert_eq!(numbers(&seen, now, &["id", "a"]).as_deref(), Ok(&[1, 2][..]), "before {now:?}");
    }
}

#[test]
fn a_name_may_move_on_when_no_row_could_mean_either() {
    // As tables are changed without a pause: fill a second column, then swap the names.
    let (seen, now) = ([(1, "id"), (2, "a"), (3, "a2")], [(1, "id"), (2, "old"), (3, "a")]);
    assert_eq!(numbers(&seen, &now, &["id", "old", "a"]), Ok(vec![1, 2, 3]));
    assert_eq!(numbers(&seen, &now, &["id", "a", "a2"]), Ok(vec![1, 2, 3]));
}

#[test]
fn a_column_of_the_same_name_is_another_column() {
    let reused = Err(Unclear::Reused("a".to_owned()));
    assert_eq!(numbers(&[(1, "id"), (2, "a")], &[(1, "id"), (3, "a")], &["id", "a"]), reused);
    let now = [(1, "id"), (3, "a"), (4, "b")];
    assert_eq!(numbers(&[(1, "id"), (2, "a")], &now, &["id", "a"]), Ok(vec![1, 2]));
    assert_eq!(numbers(&[(1, "id"), (2, "a"), (9, "x")], &now, &["id", "a"]), reused);
}

#[test]
fn a_shape_between_two_that_are_known_is_told_from_both() {
    // ADD b, RENAME a TO c: rows between have both.
    let seen = [(1, "id"), (2, "a")];
    let now = [(1, "id"), (2, "c"), (3, "b")];
    assert_eq!(numbers(&seen, &now, &["id", "a", "b"]), Ok(vec![1, 2, 3]));
    // ADD b, DROP b.
    let now = [(1, "id"), (2, "a")];
    assert_eq!(numbers(&seen, &now, &["id", "a", "b"]), Ok(vec![1, 2, GONE]));
    // ADD x, DROP x, ADD b, RENAME b TO c; or ADD b, DROP b, ADD c.
    let now = [(1, "id"), (2, "a"), (4, "c")];
    assert_eq!(numbers(&seen, &now, &["id", "a", "b"]), Err(Unclear::Renamed("b".to_owned())));
    // Nothing was ever dropped: ADD b, ADD y, RENAME b TO c, RENAME y TO z.
    let full = [(1, "id"), (2, "a"), (3, "c"), (4, "z"), (5, "5"), (6, "6"), (7, "7"), (8, "8"), (9, "9")];
    assert_eq!(numbers(&seen, &full, &["id", "a", "b", "y"]), Ok(vec![1, 2, 3, 4]));
}

#[test]
fn a_column_does_not_become_one_of_another_type() {
    let mut shapes = Vec::new();
    see(&mut shapes, Lsn(10), known(&now(&[(1, "id")])));
    let mut now = now(&[(1, "id"), (3, "c")]);
    now.columns[1].kind = Kind::Integer;
    let columns = columns(&relation(&["id", "b"]), &now, &shapes, Lsn(20), &HashMap::new());
    assert_eq!(columns, Ok(vec![Known(1, "id".to_owned()), Known(GONE, "b".to_owned())]));
}

#[test]
fn what_comes_again_has_the_numbers_it_had() {
    let mut shapes = Vec::new();
    see(&mut shapes, Lsn(10), known(&now(&[(1, "id"), (2, "a"), (3, "b")])));
    see(&mut shapes, Lsn(20), known(&now(&[(1, "id"), (3, "a")])));
    let now = now(&[(1, "id"), (3, "a")]);
    let at = |commit, names: &[&str]| {
        columns(&relation(names), &now, &shapes, Lsn(commit), &HashMap::new()).unwrap()
    };
    assert_eq!(at(15, &["id", "a", "b"]), known(&self::now(&[(1, "id"), (2, "a"), (3, "b")])));
    assert_eq!(at(20, &["id", "a", "b"]), known(&self::now(&[(1, "id"), (2, "a"), (3, "b")])));
    assert_eq!(at(20, &["id", "a"]), known(&now));
}

#[test]
fn rows_from_before_a_drop_have_a_column_that_is_not_stored() {
    let (relation, now) = (relation(&["id", "a", "b"]), now(&[(1, "id"), (3, "c")]));
    let columns = [(1, "id"), (2, "a"), (3, "b")].map(|(number, name)| Known(number, name.to_owned()));
    let table = table(&relation, &columns, &now, &HashMap::new()).unwrap();
    let told: Vec<_> = table.columns.iter().map(|column| (column.name.as_str(), column.stored)).collect();
    assert_eq!(told, [("id", true), ("a", false), ("c", true)]);
    let keyless = self::now(&[(2, "a")]);
    let columns = [Known(1, "id".to_owned())];
    let table = super::table(&self::relation(&["id"]), &columns, &keyless, &HashMap::new());
    assert_eq!(table, Err(Unclear::Key("a".to_owned())));
}
