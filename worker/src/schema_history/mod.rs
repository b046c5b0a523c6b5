//! The columns that a source table has had, and what its target calls them.
//!
//! A column is known by its number (`attnum`), which it keeps whatever it is called. The stream names columns and
//! says no number, and after a restart it shows old shapes once more; so it is remembered which shape was seen from
//! which position on. Kept beside the target, so that a restart on another machine knows it too.
//!
//! Versions of the worker read what others wrote: a field that is missing is not known, and one that this version does
//! not know is kept as it is.

mod identity;
mod owner;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::{
    identity::{Difference, Membership, Published, SourceIdentity, TargetIdentity},
    owner::Owner,
};
use crate::{
    lsn::Lsn,
    table::{Column, Look, Table, TableName},
};

/// What is known of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaHistory {
    /// Columns that the target has from the source, those too that the source has dropped since.
    pub target: Vec<TargetColumn>,
    /// Shapes of the source, the oldest first; rows before the second are of the first.
    pub shapes: Vec<Shape>,
    /// Which relation of the source it is, and how it is published. None: not known yet.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceIdentity>,
    /// Which table of StarRocks holds its rows. None: not known, or about to become another by our own doing.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub sink: Option<TargetIdentity>,
    /// Whether the target has every row of the source. None: not known.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub whole: Option<bool>,
    /// The table follows the source from here on.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub from: Option<Lsn>,
    /// The job did not have the table from here on: changes behind it are not in the target.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub left: Option<Lsn>,
    /// What the catalogue showed of its columns when this was written. None: not known.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// Who loads into the target. None: written by a version that did not say.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// What other versions of the worker know of it.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// What is kept of tables, by their names at the source. A table that is not there has no history.
pub type Noted = HashMap<TableName, Option<SourceIdentity>>;

/// The columns that the source had, in the order of their rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The commit position of the first transaction with such rows.
    pub since: Lsn,
    pub columns: Vec<Known>,
}

/// A column of the target. Written as a list, as every version so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i32, String, String)", into = "(i32, String, String)")]
pub struct TargetColumn {
    /// `attnum` at the source.
    pub number: i32,
    pub name: String,
    /// The StarRocks type that was made for it.
    pub made: String,
}

impl TargetColumn {
    pub fn new(number: i32, name: impl Into<String>, made: impl Into<String>) -> Self {
        Self { number, name: name.into(), made: made.into() }
    }
}

impl From<(i32, String, String)> for TargetColumn {
    fn from((number, name, made): (i32, String, String)) -> Self {
        Self { number, name, made }
    }
}

impl From<TargetColumn> for (i32, String, String) {
    fn from(TargetColumn { number, name, made }: TargetColumn) -> Self {
        (number, name, made)
    }
}

/// A column that has gone, and of which nothing is known but its name.
pub const GONE: i32 = 0;

/// A column, as it was called at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known(pub i32, pub String);

/// Shapes that are remembered: a restart goes back over few.
const MOST_SHAPES: usize = 8;

impl SchemaHistory {
    /// Of a table of which nothing was seen, and whose target has these columns.
    pub fn beginning(table: &Table, target: Vec<TargetColumn>) -> Self {
        let shapes = vec![Shape { since: Lsn(0), columns: known(table) }];
        Self { target, shapes, look: Some(Look::at(table)), ..Self::default() }
    }
}

impl SchemaHistory {
    /// As a job begins with it that has no past: its columns are those of the target, and everything else is of an
    /// earlier job of this name.
    #[must_use]
    pub fn of_an_earlier_job(&self) -> Self {
        let (source, sink, from, left, owner) = (None, None, None, None, None);
        Self { source, sink, whole: Some(false), from, left, owner, ..self.clone() }
    }

    /// Whether it would be written as this one is.
    pub fn is_kept_as(&self, other: &Self) -> bool {
        serde_json::to_value(self).ok() == serde_json::to_value(other).ok()
    }

    /// As it goes on with these columns in the target. A person may have taken away a column whose name another has at
    /// the source now: what the old one held is of no use any more.
    #[must_use]
    pub fn with_target(&self, target: Vec<TargetColumn>) -> Self {
        let is_replaced = |Known(number, name): &Known| {
            target.iter().any(|held| held.name == *name && held.number != *number)
                && !target.iter().any(|held| held.number == *number)
        };
        let mut shapes = self.shapes.clone();
        let columns = shapes.iter_mut().flat_map(|shape| &mut shape.columns);
        columns.filter(|column| is_replaced(column)).for_each(|column| column.0 = GONE);
        Self { target, shapes, ..self.clone() }
    }
}

impl SchemaHistory {
    /// The same, of a table that the catalogue shows like this.
    #[must_use]
    pub fn looked_at(self, table: &Table) -> Self {
        Self { look: Some(Look::at(table)), ..self }
    }
}

/// The columns of a table as they are called now.
pub fn known(table: &Table) -> Vec<Known> {
    table.columns.iter().map(|Column { number, name, .. }| Known(*number, name.clone())).collect()
}

/// The number of the column that was called so.
pub fn number_of(columns: &[Known], name: &str) -> Option<i32> {
    columns.iter().find(|Known(_, known)| known == name).map(|Known(number, _)| *number)
}

/// Takes note that rows of this shape come from `commit` on. A transaction may hold rows of several.
pub fn see(shapes: &mut Vec<Shape>, commit: Lsn, columns: Vec<Known>) {
    if shapes.last().is_some_and(|last| last.columns == columns || last.since > commit) {
        return;
    }
    shapes.push(Shape { since: commit, columns });
    let surplus = shapes.len().saturating_sub(MOST_SHAPES);
    shapes.drain(..surplus);
}

/// The shapes that rows of a transaction may have that was seen before: the one that was in force when it
/// committed, and the one before it, if they changed in that very transaction. None when it is the latest.
pub fn seen_at(shapes: &[Shape], commit: Lsn) -> impl Iterator<Item = &Shape> {
    let after = shapes.iter().position(|shape| shape.since > commit).unwrap_or(shapes.len());
    let before = shapes.get(..after).unwrap_or_default();
    let own = before.iter().rev().take_while(move |shape| shape.since == commit).count();
    before.iter().rev().take(own + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[(i32, &str)]) -> Vec<Known> {
        names.iter().map(|(number, name)| Known(*number, (*name).to_owned())).collect()
    }

    fn shapes() -> Vec<Shape> {
        let mut shapes = Vec::new();
        see(&mut shapes, Lsn(0), columns(&[(1, "id")]));
        see(&mut shapes, Lsn(10), columns(&[(1, "id"), (2, "a")]));
        see(&mut shapes, Lsn(20), columns(&[(1, "id"), (2, "b")]));
        shapes
    }

    fn names_at(commit: u64) -> Vec<usize> {
        let shapes = shapes();
        let place = |shape: &Shape| shapes.iter().position(|other| other == shape).unwrap();
        seen_at(&shapes, Lsn(commit)).map(place).collect()
    }

    #[test]
    fn a_transaction_that_comes_again_has_the_shape_it_had() {
        assert_eq!(names_at(5), [0]);
        assert_eq!(names_at(15), [1]);
        assert_eq!(names_at(25), [2]);
    }

    #[test]
    fn a_transaction_that_changed_the_shape_has_both() {
        assert_eq!(names_at(10), [1, 0]);
        assert_eq!(names_at(20), [2, 1]);
    }

    #[test]
    fn what_comes_again_is_not_seen_anew() {
        let mut shapes = shapes();
        see(&mut shapes, Lsn(15), columns(&[(1, "id"), (2, "a")]));
        see(&mut shapes, Lsn(30), columns(&[(1, "id"), (2, "b")]));
        assert_eq!(shapes, self::shapes());
    }

    #[test]
    fn few_shapes_are_remembered() {
        let mut shapes = Vec::new();
        for commit in 0..100 {
            see(&mut shapes, Lsn(commit), columns(&[(commit as i32, "c")]));
        }
        assert_eq!((shapes.len(), shapes[MOST_SHAPES - 1].since), (MOST_SHAPES, Lsn(99)));
    }

    #[test]
    fn a_column_that_a_person_took_away_makes_room_for_another_of_its_name() {
        let held = |number, name: &str| TargetColumn::new(number, name, "INT");
        let target = vec![held(1, "id"), held(2, "b")];
        let history = SchemaHistory { target, shapes: shapes(), ..SchemaHistory::default() };
        let next = history.with_target(vec![held(1, "id"), held(4, "b")]);
        assert_eq!(next.shapes[2].columns, columns(&[(1, "id"), (GONE, "b")]));
        assert_eq!(next.shapes[1].columns, columns(&[(1, "id"), (2, "a")]));
        let renamed = history.with_target(vec![held(1, "id"), held(2, "c"), held(4, "b")]);
        assert_eq!(renamed.shapes, shapes());
    }

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let target = vec![TargetColumn::new(7, "Größe \"x\"", "INT")];
        let (left, look) =
            (Some(Lsn(10)), Some(Look { written: [(2, Default::default())].into(), ..Look::default() }));
        let history = SchemaHistory { target, shapes: shapes(), left, look, ..SchemaHistory::default() };
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<SchemaHistory>(&text).unwrap(), history);
        assert!(text.contains("\"0/A\""), "{text}");
    }
    #[test]
    fn what_another_version_wrote_is_read_and_what_it_alone_knows_is_kept() {
        let old: SchemaHistory = serde_json::from_str(r#"{"target":[],"shapes":[]}"#).unwrap();
        assert_eq!(old, SchemaHistory::default());
        let newer = r#"{"target":[],"shapes":[{"since":"0/A","columns":[[1,"id"]],"more":1}],
                        "source":"of another form","whole":true,"colour":{"red":[1]}}"#;
        let read: SchemaHistory = serde_json::from_str(newer).unwrap();
        assert_eq!((read.source.as_ref(), read.whole, read.shapes.len()), (None, Some(true), 1));
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written["colour"], serde_json::json!({"red": [1]}));
    }

    #[test]
    fn a_column_of_the_target_is_written_as_every_version_reads_it() {
        let column = TargetColumn::new(7, "a", "INT");
        let written = serde_json::to_string(&column).unwrap();
        assert_eq!(written, r#"[7,"a","INT"]"#);
        assert_eq!(serde_json::from_str::<TargetColumn>(&written).unwrap(), column);
    }
}
