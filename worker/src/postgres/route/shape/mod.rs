//! Determines the columns of the rows of an announced relation.
//!
//! In: the relation, which has column names and no numbers; the table as the catalogue shows it, which may be ahead of
//! the stream; the shapes seen before. Out: the table with the columns of its next rows, or why they are not certain.

mod column_type;

use std::{collections::HashMap, ops::Range};

use self::column_type::{is_of_before, is_same_type};
use crate::{
    lsn::Lsn,
    postgres::pgoutput::{Relation, RelationColumn, TypeName},
    schema_history::{GONE, Known, Shape, known, number_of, seen_at},
    table::{Column, Fill, Kind, Table},
};

/// Types that are not built in, by oid.
pub(super) type TypeNames = HashMap<u32, TypeName>;

/// Why the columns of rows are not certain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unclear {
    #[error("column {0} was dropped, and another took its name")]
    Reused(String),
    #[error("column {0} was renamed or dropped since, and its present name cannot be determined")]
    Renamed(String),
    #[error("the order of its columns cannot be determined")]
    Order,
    #[error(
        "earlier rows have column {column} in a type whose values do not all fit {now}, its present type"
    )]
    Type { column: String, now: String },
    #[error("column {0} is part of the key and was dropped")]
    Key(String),
}

/// The columns of the relation, with the names that they had then.
pub(super) fn columns(
    relation: &Relation,
    table: &Table,
    shapes: &[Shape],
    commit: Lsn,
    type_names: &TypeNames,
) -> Result<Vec<Known>, Unclear> {
    let now = known(table);
    let is_called_so = |columns: &&[Known]| {
        columns.len() == relation.columns.len()
            && columns.iter().zip(&relation.columns).all(|(Known(_, name), column)| *name == column.name)
    };
    let seen: Vec<&[Known]> = seen_at(shapes, commit).map(|shape| shape.columns.as_slice()).collect();
    let then = seen.iter().copied().find(is_called_so);
    let merged = || with_unknown(relation, merged(relation, &seen, &now)?, table, type_names);
    if shapes.last().is_some_and(|latest| latest.since > commit) {
        // A later shape is known, so this announcement was seen before, when the catalogue was different.
        return then.map_or_else(merged, |then| Ok(then.to_vec()));
    }
    match (then, Some(now.as_slice()).filter(is_called_so)) {
        (Some(then), Some(now)) => match reused(then, now) {
            Some(name) => Err(Unclear::Reused(name)),
            None => Ok(now.to_vec()),
        },
        (Some(columns), None) | (None, Some(columns)) => Ok(columns.to_vec()),
        (None, None) => merged(),
    }
}

/// A name that one column had and another column has now.
fn reused(then: &[Known], now: &[Known]) -> Option<String> {
    let other = then.iter().zip(now).find(|(then, now)| then != now && then.0 != GONE);
    other.map(|(Known(_, name), _)| name.clone())
}

/// A shape between the known ones, after several changes in a row.
fn merged(relation: &Relation, seen: &[&[Known]], now: &[Known]) -> Result<Vec<Known>, Unclear> {
    let latest = seen.first().copied().unwrap_or_default();
    let mut columns = Vec::with_capacity(relation.columns.len());
    for RelationColumn { name, .. } in &relation.columns {
        let number = match (number_of(latest, name), number_of(now, name)) {
            (Some(then), Some(now)) if then != now => return Err(Unclear::Reused(name.clone())),
            (Some(number), _) | (None, Some(number)) => number,
            (None, None) => GONE,
        };
        columns.push(Known(number, name.clone()));
    }
    let numbers: Vec<i32> = columns.iter().map(|column| column.0).filter(|number| *number != GONE).collect();
    if numbers.is_sorted_by(|one, other| one < other) { Ok(columns) } else { Err(Unclear::Order) }
}

/// An unknown name belongs to a column that was dropped or renamed since. Its number lies between those of its
/// neighbours; where all such numbers belong to present columns, it is the lowest of them.
fn with_unknown(
    relation: &Relation,
    mut columns: Vec<Known>,
    now: &Table,
    type_names: &TypeNames,
) -> Result<Vec<Known>, Unclear> {
    for (place, announced) in relation.columns.iter().enumerate() {
        let (before, after) = columns.split_at(place);
        let Some((Known(GONE, name), after)) = after.split_first() else { continue };
        let above = before.iter().rev().find(|column| column.0 != GONE).map_or(0, |column| column.0);
        let below = after.iter().find(|column| column.0 != GONE).map_or(i32::MAX, |column| column.0);
        let number = unknown(now, above..below, announced, type_names)
            .ok_or_else(|| Unclear::Renamed(name.clone()))?;
        columns[place].0 = number;
    }
    Ok(columns)
}

/// The number of the column with an unknown name, by its neighbours and type; `None` when it is not certain.
fn unknown(
    now: &Table,
    between: Range<i32>,
    announced: &RelationColumn,
    type_names: &TypeNames,
) -> Option<i32> {
    let (first, end) = (between.start + 1, between.end.min(now.last_number.saturating_add(1)));
    let there: Vec<&Column> =
        now.columns.iter().filter(|column| (first..end).contains(&column.number)).collect();
    let of_type = there.iter().filter(|column| is_same_type(column, announced, type_names));
    let some_have_gone = i64::from(end) - i64::from(first) > there.len() as i64;
    match (some_have_gone, of_type.count()) {
        (true, 0) => Some(GONE),
        (false, 1..) => there.first().map(|column| column.number),
        _ => None,
    }
}

/// The table with the columns of the relation's rows, under their present names.
pub(super) fn table(
    relation: &Relation,
    columns: &[Known],
    now: &Table,
    type_names: &TypeNames,
) -> Result<Table, Unclear> {
    let column = |(Known(number, name), announced): (&Known, &RelationColumn)| {
        let Some(column) = now.columns.iter().find(|column| column.number == *number) else {
            return Ok(gone(*number, name));
        };
        if is_same_type(column, announced, type_names) || is_of_before(column, announced) {
            return Ok(column.clone());
        }
        Err(Unclear::Type { column: name.clone(), now: column.source_type.clone() })
    };
    let columns = columns.iter().zip(&relation.columns).map(column).collect::<Result<Vec<_>, _>>()?;
    let place = |key: &Column| columns.iter().position(|column| column.number == key.number);
    let keys = now.key.iter().filter_map(|place| now.columns.get(*place));
    let key = keys.map(|key| place(key).ok_or_else(|| Unclear::Key(key.name.clone())));
    let key = key.collect::<Result<_, _>>()?;
    Ok(Table { columns, key, ..now.clone() })
}

fn gone(number: i32, name: &str) -> Column {
    Column { number, fill: Fill::Null, stored: false, ..Column::new(name, Kind::Text, "") }
}

/// Whether the old row of an update or a delete names the row by its primary key.
pub(super) fn identity_holds_key(table: &Table, relation: &Relation) -> bool {
    table.key.iter().all(|place| relation.columns.get(*place).is_some_and(|column| column.identity))
}

#[cfg(test)]
mod tests;
