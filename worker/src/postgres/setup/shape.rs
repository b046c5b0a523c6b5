//! Derives tables with their columns and keys from the catalogue, or a fault for each table that cannot be replicated.
//!
//! Pure. A table with a fault is refused alone: the others are replicated.

use std::collections::HashSet;

use crds::Reason;

use super::{
    catalogue::{Attribute, Catalogue, Index, Relation},
    identity::Identities,
    publication::Publication,
};
use crate::{
    config::SourceConfig,
    fault::{Fault, Part},
    postgres::{kind, sql},
    table::{Column, Facts, Kind, Representation, Table, TableId, TableName},
};

/// The tables that can be replicated, in the order of the configuration, and the fault of each other one.
pub(super) fn tables(
    config: &SourceConfig,
    catalogue: &Catalogue,
    publication: Option<&Publication>,
    identities: &Identities,
) -> (Vec<Table>, Vec<Refused>) {
    let (mut tables, mut refused) = (Vec::new(), Vec::new());
    for name in &config.tables {
        let table = checked(TableId(tables.len() as u32), name, catalogue, publication);
        let table = table.map(|table| identities.described(table));
        let table = table.and_then(|table| whole(config, catalogue, table));
        match identities.checked(name, table) {
            Ok(table) => tables.push(table),
            Err(fault) => refused.push(Refused { table: name.clone(), fault }),
        }
    }
    (tables, refused)
}

/// A table that cannot be replicated as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) table: TableName,
    pub(super) fault: Fault,
}

pub(super) fn checked(
    id: TableId,
    name: &TableName,
    catalogue: &Catalogue,
    publication: Option<&Publication>,
) -> Result<Table, Fault> {
    if name.name.starts_with("dbmazz_") {
        return Err(reserved(name));
    }
    let relation = catalogue.relation(name).ok_or_else(|| missing(name))?;
    if let Some(what) = unfit(relation) {
        return Err(not_a_table(name, what));
    }
    let by_leaf = publication.filter(|publication| relation.kind == "p" && !publication.is_via_root());
    if let Some(publication) = by_leaf {
        return Err(not_via_root(name, &publication.identifier()));
    }
    table(id, name, relation, &columns_of(name, relation, publication))
}

/// With consistency Transaction every change has to come with the whole row, so the old row has to be sent too.
fn whole(config: &SourceConfig, catalogue: &Catalogue, table: Table) -> Result<Table, Fault> {
    let partial = catalogue.relation(&table.name).and_then(|relation| relation.partial_identity.as_ref());
    match partial.filter(|_| config.whole_rows && table.key.len() < table.columns.len()) {
        Some(partial) => Err(partial_identity(&table, partial)),
        None => Ok(table),
    }
}

/// The description of a relation that is no table with its changes in the WAL.
fn unfit(relation: &Relation) -> Option<&'static str> {
    match (relation.kind.as_str(), relation.persistence.as_str()) {
        ("r" | "p", "p") => None,
        ("r" | "p", _) => Some("unlogged or temporary"),
        ("v" | "m", _) => Some("a view"),
        ("f", _) => Some("a foreign table"),
        _ => Some("no table"),
    }
}

/// The key that identifies rows and is sent with every update and delete: the primary key, or the unique index of the
/// replica identity.
fn key<'a>(name: &TableName, relation: &'a Relation) -> Result<&'a Index, Fault> {
    if let Some(partition) = &relation.partition_without_identity {
        return Err(insufficient(name, &format!("of partition {partition}"), partition));
    }
    let holds = |index: &Index, key: &Index| key.columns.iter().all(|column| index.columns.contains(column));
    match (relation.identity.as_str(), &relation.primary_key, &relation.identity_index) {
        ("f", Some(key), _) => Ok(key),
        ("d", Some(key), _) if key.immediate => Ok(key),
        ("i", Some(key), Some(index)) if holds(index, key) => Ok(key),
        ("i", _, Some(index)) => Ok(index),
        (_, None, _) => Err(keyless(name)),
        _ => Err(insufficient(name, "of the table", &sql::table(name))),
    }
}

/// The columns that pgoutput sends. A publication may have a column list. Generated columns are sent from PostgreSQL 18
/// on if they are stored and listed, and never by a publication that this worker is still to create.
fn columns_of<'a>(
    name: &TableName,
    relation: &'a Relation,
    publication: Option<&Publication>,
) -> Vec<&'a Attribute> {
    let listed: Option<HashSet<&str>> = publication
        .and_then(|publication| publication.columns(name))
        .map(|columns| columns.iter().map(String::as_str).collect());
    let is_listed =
        |column: &Attribute| listed.as_ref().is_none_or(|list| list.contains(column.name.as_str()));
    let sends_generated = listed.is_some() && publication.is_some_and(Publication::sends_generated);
    let is_sent = |column: &&Attribute| match &column.generated {
        Some(generated) => sends_generated && generated.stored && is_listed(column),
        None => is_listed(column),
    };
    relation.columns.iter().filter(is_sent).collect()
}

/// The kind of a column. An unknown type is replicated as its text, which loses nothing.
fn kind_of(column: &Attribute) -> Kind {
    if let Some(delimiter) = column.delimiter {
        return Kind::Array { element: kind::element(column.type_oid), delimiter };
    }
    match (column.type_class.as_str(), column.type_name.as_str()) {
        _ if column.folded => Kind::Opaque,
        ("e", _) => Kind::ShortText { characters: kind::NAME_CHARACTERS },
        ("b", "hstore") => Kind::Hstore,
        _ => kind::builtin(column.type_oid, column.typmod).unwrap_or(Kind::Opaque),
    }
}

fn representation(column: &Attribute) -> Representation {
    Representation {
        oid: column.type_oid,
        modifier: column.typmod,
        array: column.delimiter.is_some(),
        declared: column.declared.clone(),
        parts: column.parts.clone(),
        expression: column.generated.as_ref().map(|generated| generated.expression.clone()),
    }
}

fn table(id: TableId, name: &TableName, relation: &Relation, columns: &[&Attribute]) -> Result<Table, Fault> {
    let index = key(name, relation)?;
    let place = |number: &i32| columns.iter().position(|column| column.number == *number);
    let key = index.columns.iter().map(place).collect::<Option<Vec<_>>>();
    let key = key.filter(|key| !key.is_empty()).ok_or_else(|| unpublished_key(name, relation, index))?;
    let column = |attribute: &&Attribute| Column {
        name: attribute.name.clone(),
        kind: kind_of(attribute),
        source_type: attribute.declared.clone(),
        number: attribute.number,
        fill: attribute.fill.clone(),
        stored: true,
        representation: representation(attribute),
    };
    let is_left_out = |column: &&Attribute| place(&column.number).is_none();
    let left_out = relation.columns.iter().filter(is_left_out);
    let left_out = left_out.map(|column| (column.number, column.name.clone())).collect();
    let facts = Facts { files: relation.files.clone(), left_out, listed: false };
    let columns = columns.iter().map(column).collect();
    let (name, target) = (name.clone(), name.target());
    Ok(Table { id, name, target, columns, key, last_number: relation.last_number, facts })
}

fn refusal(name: &TableName, reason: Reason, message: impl Into<String>, fix: impl Into<String>) -> Fault {
    Fault::halt(Part::Table(name.clone()), reason, message, fix)
}

fn reserved(name: &TableName) -> Fault {
    refusal(
        name,
        Reason::BadConfiguration,
        format!("table {name} has a name that begins with dbmazz_, as this worker's own do"),
        "take it out of the job's tables",
    )
}

fn missing(name: &TableName) -> Fault {
    refusal(
        name,
        Reason::SourceTableMissing,
        format!("table {name} is not in the source database"),
        "check the name (it is exact, also in upper and lower case) and the database, or create the table",
    )
}

fn not_a_table(name: &TableName, what: &str) -> Fault {
    refusal(
        name,
        Reason::BadConfiguration,
        format!("{name} is {what}, and only ordinary and partitioned tables can be replicated"),
        "take it out of the job's tables, or select the tables behind it",
    )
}

fn not_via_root(name: &TableName, publication: &str) -> Fault {
    refusal(
        name,
        Reason::BadConfiguration,
        format!("the publication publishes the partitions of {name} and not itself"),
        format!(
            "run ALTER PUBLICATION {publication} SET (publish_via_partition_root = true), or select its partitions"
        ),
    )
}

fn keyless(name: &TableName) -> Fault {
    let table = sql::table(name);
    refusal(
        name,
        Reason::PrimaryKeyMissing,
        format!("table {name} has no primary key, nor a unique index as its replica identity"),
        format!(
            "run ALTER TABLE {table} ADD PRIMARY KEY (…), or ALTER TABLE {table} REPLICA IDENTITY USING INDEX … with \
             a unique index over columns that are NOT NULL, or take the table out of the job"
        ),
    )
}

/// `whose` is the table to alter, as SQL. Partitions do not inherit the replica identity of their table.
fn insufficient(name: &TableName, of: &str, whose: &str) -> Fault {
    refusal(
        name,
        Reason::ReplicaIdentityInsufficient,
        format!("the replica identity {of} does not tell which row of {name} was changed"),
        format!(
            "run ALTER TABLE {whose} REPLICA IDENTITY DEFAULT (with a primary key that is not deferrable)"
        ),
    )
}

fn partial_identity(table: &Table, of: &str) -> Fault {
    let fix = if table.facts.refuses_full() {
        format!(
            "set consistency to Row, or take the table out of the job; not all columns of {of} are published, and under \
             REPLICA IDENTITY FULL PostgreSQL may refuse every update of it (from 15 on for a list of columns, from 18 \
             on for generated columns that are not published)"
        )
    } else {
        format!("run ALTER TABLE {of} REPLICA IDENTITY FULL, or set consistency to Row")
    };
    refusal(
        &table.name,
        Reason::ReplicaIdentityInsufficient,
        format!("consistency Transaction needs whole rows, and PostgreSQL does not send those of {of} whole"),
        fix,
    )
}

fn unpublished_key(name: &TableName, relation: &Relation, key: &Index) -> Fault {
    let mut columns = relation.columns.iter().filter(|column| key.columns.contains(&column.number));
    match columns.find(|column| column.generated.is_some()) {
        Some(column) => generated_key(name, column),
        None => refusal(
            name,
            Reason::ReplicaIdentityInsufficient,
            format!("the publication leaves out columns of the key of {name}"),
            format!("add the whole key to the column list of {} in the publication", sql::table(name)),
        ),
    }
}

fn generated_key(name: &TableName, column: &Attribute) -> Fault {
    refusal(
        name,
        Reason::ReplicaIdentityInsufficient,
        format!("PostgreSQL does not send the generated column {} of the key of {name}", column.name),
        format!(
            "make a unique index over other columns that are NOT NULL and run ALTER TABLE {} REPLICA IDENTITY USING \
             INDEX … with it; from PostgreSQL 18 on ALTER PUBLICATION … SET (publish_generated_columns = stored) will \
             do, too",
            sql::table(name)
        ),
    )
}

#[cfg(test)]
mod tests {
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
        for (whole_rows, partial, expected) in [
            (false, true, None),
            (true, false, None),
            (true, true, Some(Reason::ReplicaIdentityInsufficient)),
        ] {
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
}
