//! The schema history of a table: the columns that it has had at the source, and their names in the target.
//!
//! A column is identified by its number (`attnum`), which does not change when it is renamed. The stream contains names
//! and no numbers, and after a restart it sends old shapes again; so the history records from which position on each
//! shape was seen. It is stored in the target database, so that a restart on another machine has it too.
//!
//! Histories are read by other versions of the worker: a missing field is unknown, and a field that this version does not
//! know is preserved.

mod anew;
mod copy;
mod identity;
mod owner;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::{
    anew::{Request, Retaken},
    copy::{Blocks, CopyState, LeafState, Removal},
    identity::{Difference, Membership, Published, SourceIdentity, TargetIdentity},
    owner::Owner,
};
use crate::{
    lsn::Lsn,
    table::{Column, Look, Table, TableName},
};

/// The schema history of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaHistory {
    /// Columns that the target has from the source, including those that the source has dropped since.
    pub target: Vec<TargetColumn>,
    /// Shapes of the source, oldest first; rows before `since` of the second shape have the first one.
    pub shapes: Vec<Shape>,
    /// Which relation of the source it is, and how it is published. None: unknown.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceIdentity>,
    /// Which table of StarRocks has its rows. None: unknown, or a TRUNCATE of our own is changing it.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub sink: Option<TargetIdentity>,
    /// Whether the target has every row of the source. None: unknown.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub whole: Option<bool>,
    /// How far the copy of the rows that existed before has come. None: not begun, or complete.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyState>,
    /// The position from which on the target follows the source.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub from: Option<Lsn>,
    /// The position from which on the table was not part of the job: later changes are not in the target.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub left: Option<Lsn>,
    /// What the catalogue showed of its columns when the history was written. None: unknown.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// The slot whose job loads into the target. None: written by a version that did not record it.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The last request by which the table was copied anew.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// When the job last took the table anew by itself.
    #[serde(default, deserialize_with = "identity::legible", skip_serializing_if = "Option::is_none")]
    pub retaken: Option<Retaken>,
    /// Fields of other versions of the worker.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// The stored source identities, by the names of tables at the source. A table without an entry has no history.
pub type Noted = HashMap<TableName, Option<SourceIdentity>>;

/// The columns of the source's rows, in their order, from one position on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The commit position of the first transaction with rows of this shape.
    pub since: Lsn,
    pub columns: Vec<Known>,
}

/// A column of the target. Serialized as a list, as in every version so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i32, String, String)", into = "(i32, String, String)")]
pub struct TargetColumn {
    /// `attnum` at the source.
    pub number: i32,
    pub name: String,
    /// The StarRocks type with which the column was created.
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

/// Number of a dropped column of which only the name is known.
pub const GONE: i32 = 0;

/// Number and name of a column at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known(pub i32, pub String);

/// Most shapes that are kept; a restart reads over only a few again.
const MOST_SHAPES: usize = 8;

impl SchemaHistory {
    /// The history of a table without any rows seen, whose target has these columns.
    pub fn beginning(table: &Table, target: Vec<TargetColumn>) -> Self {
        let shapes = vec![Shape { since: Lsn(0), columns: known(table) }];
        Self { target, shapes, look: Some(Look::at(table)), ..Self::default() }
    }
}

impl SchemaHistory {
    /// The history for a job without a prior run: the columns are those of the target, and everything else was of an earlier
    /// job with this name.
    #[must_use]
    pub fn of_an_earlier_job(&self) -> Self {
        let (source, sink, from, left, owner, copy) = (None, None, None, None, None, None);
        let (request, retaken) = (None, None);
        Self { source, sink, whole: Some(false), copy, from, left, owner, request, retaken, ..self.clone() }
    }

    /// Whether both histories are serialized identically.
    pub fn is_kept_as(&self, other: &Self) -> bool {
        serde_json::to_value(self).ok() == serde_json::to_value(other).ok()
    }

    /// The history with these columns in the target. A person may have dropped a target column whose name another source
    /// column has now; in older shapes the dropped column then has no number.
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
    /// The history with what the catalogue shows of the table now.
    #[must_use]
    pub fn looked_at(self, table: &Table) -> Self {
        Self { look: Some(Look::at(table)), ..self }
    }
}

/// The columns of a table with their current names.
pub fn known(table: &Table) -> Vec<Known> {
    table.columns.iter().map(|Column { number, name, .. }| Known(*number, name.clone())).collect()
}

/// The number of the column with this name.
pub fn number_of(columns: &[Known], name: &str) -> Option<i32> {
    columns.iter().find(|Known(_, known)| known == name).map(|Known(number, _)| *number)
}

/// Records that rows have this shape from `commit` on. A transaction may contain rows of several shapes.
pub fn see(shapes: &mut Vec<Shape>, commit: Lsn, columns: Vec<Known>) {
    if shapes.last().is_some_and(|last| last.columns == columns || last.since > commit) {
        return;
    }
    shapes.push(Shape { since: commit, columns });
    let surplus = shapes.len().saturating_sub(MOST_SHAPES);
    shapes.drain(..surplus);
}

/// The shapes that rows of a transaction with this commit position may have: the shape in force at its commit, and the
/// earlier ones that it changed itself, latest first.
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
