//! Determines the columns of the rows of an announced relation.
//!
//! In: the relation, which has column names and no numbers; the table as the catalogue shows it, which may be ahead of
//! the stream; the shapes seen before. Out: the table with the columns of its next rows, or why they are not certain.

use std::{collections::HashMap, ops::Range};

use crate::{
    lsn::Lsn,
    postgres::{
        kind,
        pgoutput::{Relation, RelationColumn, TypeName},
    },
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

/// Rows from before a type became narrower are sent again when their table is replicated anew. A value that the column
/// cannot hold is then refused, and the change of type was checked when the target was compared with the source.
fn is_of_before(column: &Column, announced: &RelationColumn) -> bool {
    kind::builtin(announced.type_oid, announced.typmod)
        .is_some_and(|kind| kind::is_of_one_family(kind, column.kind))
}

fn gone(number: i32, name: &str) -> Column {
    Column { number, fill: Fill::Null, stored: false, ..Column::new(name, Kind::Text, "") }
}

fn is_same_type(column: &Column, announced: &RelationColumn, type_names: &TypeNames) -> bool {
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

/// Whether the old row of an update or a delete names the row by its primary key.
pub(super) fn identity_holds_key(table: &Table, relation: &Relation) -> bool {
    table.key.iter().all(|place| relation.columns.get(*place).is_some_and(|column| column.identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        schema_history::see,
        table::{TableId, TableName},
    };

    fn relation(names: &[&str]) -> Relation {
        let column = |name: &&str| RelationColumn {
            identity: true,
            name: (*name).to_owned(),
            type_oid: 25,
            typmod: -1,
        };
        let (schema, name) = ("public".to_owned(), "t".to_owned());
        Relation { oid: 7, schema, name, columns: names.iter().map(column).collect() }
    }

    fn now(columns: &[(i32, &str)]) -> Table {
        let column = |(number, name): &(i32, &str)| Column {
            number: *number,
            ..Column::new(*name, Kind::Text, "text")
        };
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
        let full =
            [(1, "id"), (2, "a"), (3, "c"), (4, "z"), (5, "5"), (6, "6"), (7, "7"), (8, "8"), (9, "9")];
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
}
