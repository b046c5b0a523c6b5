//! Judges what the catalogue says: tables with their columns and keys, or everything that is in the way.
//!
//! Pure. All tables with the same trouble are named at once, so that a person mends them in one go.

use std::collections::HashSet;

use crds::Reason;

use super::{
    catalogue::{Attribute, Catalogue, Index, Relation},
    halt,
    publication::Publication,
};
use crate::{
    config::SourceConfig,
    fault::Fault,
    postgres::{kind, sql},
    table::{Column, Kind, Table, TableId, TableName},
};

/// The tables of the job, in the order of the configuration.
pub(super) fn tables(
    config: &SourceConfig,
    catalogue: &Catalogue,
    publication: Option<&Publication>,
) -> Result<Vec<Table>, Fault> {
    let names = &config.tables;
    refuse(names, |name| name.name.starts_with("dbmazz_").then(|| name.to_string()), reserved)?;
    refuse(names, |name| catalogue.relation(name).is_none().then(|| name.to_string()), missing)?;
    let found: Vec<_> = names.iter().filter_map(|name| Some((name, catalogue.relation(name)?))).collect();
    refuse(&found, |(name, relation)| unfit(name, relation), not_a_table)?;
    refuse(&found, |(name, relation)| relation.primary_key.is_none().then(|| name.to_string()), keyless)?;
    refuse(&found, |(name, relation)| weak_identity(name, relation), insufficient)?;
    let published: Vec<_> =
        found.iter().map(|(name, relation)| columns_of(name, relation, publication)).collect();
    found
        .iter()
        .zip(&published)
        .zip(0..)
        .map(|(((name, relation), columns), id)| table(TableId(id), name, relation, columns))
        .collect()
}

/// Fails with everything that `trouble` finds.
fn refuse<T>(
    all: &[T],
    trouble: impl Fn(&T) -> Option<String>,
    fault: impl FnOnce(&str) -> Fault,
) -> Result<(), Fault> {
    let troubles: Vec<_> = all.iter().filter_map(trouble).collect();
    if troubles.is_empty() { Ok(()) } else { Err(fault(&troubles.join(", "))) }
}

fn unfit(name: &TableName, relation: &Relation) -> Option<String> {
    match (relation.kind.as_str(), relation.persistence.as_str()) {
        ("r" | "p", "p") => None,
        ("r" | "p", _) => Some(format!("{name} (unlogged or temporary)")),
        ("v" | "m", _) => Some(format!("{name} (a view)")),
        ("f", _) => Some(format!("{name} (a foreign table)")),
        _ => Some(name.to_string()),
    }
}

/// What the source will not send with an update or a delete: which row it was.
fn weak_identity(name: &TableName, relation: &Relation) -> Option<String> {
    if let Some(partition) = &relation.partition_without_identity {
        return Some(format!("{name} (partition {partition})"));
    }
    let holds = |index: &Index, key: &Index| key.columns.iter().all(|column| index.columns.contains(column));
    let enough = match (relation.identity.as_str(), &relation.primary_key, &relation.identity_index) {
        ("f", _, _) => true,
        ("d", Some(key), _) => key.immediate,
        ("i", Some(key), Some(index)) => holds(index, key),
        _ => false,
    };
    (!enough).then(|| name.to_string())
}

/// The columns that pgoutput sends: a publication may have a list, and leaves generated ones out by default.
fn columns_of<'a>(
    name: &TableName,
    relation: &'a Relation,
    publication: Option<&Publication>,
) -> Vec<&'a Attribute> {
    let listed: Option<HashSet<&str>> = publication
        .and_then(|publication| publication.columns(name))
        .map(|columns| columns.iter().map(String::as_str).collect());
    let is_sent = |column: &&Attribute| match &listed {
        Some(listed) => listed.contains(column.name.as_str()),
        None => !column.generated,
    };
    relation.columns.iter().filter(is_sent).collect()
}

/// A type that is not known goes as its text: it loses nothing there.
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

fn table(id: TableId, name: &TableName, relation: &Relation, columns: &[&Attribute]) -> Result<Table, Fault> {
    let place = |number: &i32| columns.iter().position(|column| column.number == *number);
    let key = relation.primary_key.iter().flat_map(|key| &key.columns).map(place).collect::<Option<Vec<_>>>();
    let key = key.filter(|key| !key.is_empty()).ok_or_else(|| unpublished_key(name))?;
    let column = |attribute: &&Attribute| Column {
        name: attribute.name.clone(),
        kind: kind_of(attribute),
        source_type: attribute.declared.clone(),
    };
    let columns = columns.iter().map(column).collect();
    Ok(Table { id, name: name.clone(), target: name.target(), columns, key })
}

fn reserved(tables: &str) -> Fault {
    halt(
        Reason::BadConfiguration,
        format!("tables whose names begin with dbmazz_ are this worker's own and not replicated: {tables}"),
        "take them out of the job's tables",
    )
}

fn missing(tables: &str) -> Fault {
    halt(
        Reason::SourceTableMissing,
        format!("not in the source database: {tables}"),
        "check the names (they are exact, also in upper and lower case) and the database, or create the tables",
    )
}

fn not_a_table(tables: &str) -> Fault {
    halt(
        Reason::BadConfiguration,
        format!("only ordinary and partitioned tables can be replicated, not {tables}"),
        "take them out of the job's tables, or select the tables behind them",
    )
}

fn keyless(tables: &str) -> Fault {
    halt(
        Reason::PrimaryKeyMissing,
        format!("without a primary key: {tables}"),
        "give each a primary key with ALTER TABLE … ADD PRIMARY KEY, or take them out of the job's tables",
    )
}

fn insufficient(tables: &str) -> Fault {
    halt(
        Reason::ReplicaIdentityInsufficient,
        format!("the replica identity does not hold the whole primary key: {tables}"),
        "run ALTER TABLE … REPLICA IDENTITY DEFAULT for each (and make its primary key not deferrable)",
    )
}

fn unpublished_key(name: &TableName) -> Fault {
    halt(
        Reason::ReplicaIdentityInsufficient,
        format!("the publication leaves out columns of the primary key of {name}"),
        format!("add the whole key to the column list of {} in the publication", sql::table(name)),
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

    fn is_weak(relation: &Relation) -> bool {
        weak_identity(&TableName { schema: "public".into(), name: "t".into() }, relation).is_some()
    }

    #[test]
    fn an_identity_must_hold_the_whole_key() {
        for (identity, weak) in [("d", false), ("f", false), ("i", false), ("n", true)] {
            assert_eq!(is_weak(&relation(identity)), weak, "{identity}");
        }
        let narrow = Some(Index { columns: vec![1], immediate: true });
        assert!(is_weak(&Relation { identity_index: narrow, ..relation("i") }));
        let deferrable = Some(Index { columns: vec![1], immediate: false });
        assert!(is_weak(&Relation { primary_key: deferrable, ..relation("d") }));
        let partition = Some("public.t_2024".into());
        assert!(is_weak(&Relation { partition_without_identity: partition, ..relation("d") }));
    }
}
