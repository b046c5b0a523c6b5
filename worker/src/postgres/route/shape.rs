//! Compares the shape that PostgreSQL announces with the one the job was set up with.

use std::collections::HashMap;

use crate::{
    postgres::{
        kind,
        pgoutput::{Relation, RelationColumn, TypeName},
    },
    table::{Column, Kind, Table},
};

/// What is different, in words; nothing when rows of `relation` are rows of `table`.
pub(super) fn difference(
    table: &Table,
    relation: &Relation,
    type_names: &HashMap<u32, TypeName>,
) -> Option<String> {
    let has = |name: &str| relation.columns.iter().any(|column| column.name == name);
    let had = |name: &str| table.columns.iter().any(|column| column.name == name);
    if let Some(column) = relation.columns.iter().find(|column| !had(&column.name)) {
        return Some(format!("column {} is not one of the job's", column.name));
    }
    if let Some(column) = table.columns.iter().find(|column| !has(&column.name)) {
        return Some(format!("column {} is missing", column.name));
    }
    if table.columns.len() != relation.columns.len() {
        return Some("a column comes twice".to_owned());
    }
    table.columns.iter().zip(&relation.columns).find_map(|(column, announced)| {
        if column.name != announced.name {
            return Some("its columns come in another order".to_owned());
        }
        let same = is_same_type(column, announced, type_names);
        (!same).then(|| format!("column {} is no longer of type {}", column.name, column.source_type))
    })
}

fn is_same_type(column: &Column, announced: &RelationColumn, type_names: &HashMap<u32, TypeName>) -> bool {
    match kind::builtin(announced.type_oid, announced.typmod) {
        Some(kind) => kind::fits(kind, column.kind),
        None => type_names.get(&announced.type_oid).is_some_and(|name| is_own_type(column, name)),
    }
}

/// A type of the database's own: the same name, or a domain, which comes with the name of its base.
fn is_own_type(column: &Column, name: &TypeName) -> bool {
    // PostgreSQL quotes where it thinks so.
    let declared = column.source_type.replace('"', "");
    if declared == format!("{}.{}", name.schema, name.name).replace('"', "") {
        return true;
    }
    let is_qualified = declared.contains('.');
    let is_text = matches!(
        column.kind,
        Kind::Text | Kind::ShortText { .. } | Kind::Opaque | Kind::Hstore | Kind::Array { .. }
    );
    is_qualified
        && if name.schema == "pg_catalog" { kind::is_named(column.kind, &name.name) } else { is_text }
}

/// Whether the old row of an update or a delete names the row by its primary key.
pub(super) fn identity_holds_key(table: &Table, relation: &Relation) -> bool {
    table.key.iter().all(|place| relation.columns.get(*place).is_some_and(|column| column.identity))
}
