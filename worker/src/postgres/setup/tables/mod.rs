//! Derives tables with their columns and keys from the catalogue, or a fault for each table that cannot be replicated.
//!
//! Pure. A table with a fault is refused alone: the others are replicated.

mod refusal;

use std::collections::HashSet;

use self::refusal::{
    insufficient, keyless, missing, not_a_table, not_via_root, partial_identity, reserved, unpublished_key,
};
use super::{
    catalogue::{Attribute, Catalogue, Index, Relation},
    identity::Identities,
    publication::Publication,
};
use crate::{
    config::SourceConfig,
    fault::Fault,
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

#[cfg(test)]
mod tests;
