//! Whether an announced column has the type of a column of the catalogue.

use super::TypeNames;
use crate::{
    postgres::{
        kind,
        pgoutput::{RelationColumn, TypeName},
    },
    table::{Column, Kind},
};

/// Rows from before a type became narrower are sent again when their table is replicated anew. A value that the column
/// cannot hold is then refused, and the change of type was checked when the target was compared with the source.
pub(super) fn is_of_before(column: &Column, announced: &RelationColumn) -> bool {
    kind::builtin(announced.type_oid, announced.typmod)
        .is_some_and(|kind| kind::is_of_one_family(kind, column.kind))
}

pub(super) fn is_same_type(column: &Column, announced: &RelationColumn, type_names: &TypeNames) -> bool {
    match kind::builtin(announced.type_oid, announced.typmod) {
        Some(kind) => kind::fits(kind, column.kind),
        None => type_names.get(&announced.type_oid).is_some_and(|name| is_own_type(column, name)),
    }
}

/// Whether a type that the database defines is the column's: it has the same name, or the column has a domain, which is
/// announced with the name of its base type.
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
