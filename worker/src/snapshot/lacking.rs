//! Changes that lack values, and the rows of the source that have them.

use std::{collections::HashMap, sync::Arc};

use crate::{
    change::{Tuple, Value, write_value},
    pipeline::{Batch, ColumnSet, Operation, Row, Rows, batch::key},
    table::Table,
};

/// Whether the rows are under new keys, and lack values.
pub(super) fn is_moved(batch: &Batch) -> bool {
    matches!(batch.columns(), ColumnSet::Lacking(_))
}

/// Changes that lack values, by the keys of their rows.
pub(super) struct Lacking<'a> {
    batch: &'a Batch,
    changes: HashMap<Vec<u8>, Row<'a>>,
}

impl<'a> Lacking<'a> {
    pub(super) fn of(batch: &'a Batch) -> Self {
        let changes = batch.rows().filter(lacks).map(|row| (key_bytes(batch.table(), row.values), row));
        Self { batch, changes: changes.collect() }
    }

    /// The changes of these rows of the source, with whole rows.
    pub(super) fn filled_by(&mut self, found: &Batch) -> Option<Batch> {
        let table = self.batch.table();
        let mut whole = Rows::new(Arc::clone(table), ColumnSet::All);
        for found in found.rows() {
            let Some(change) = self.changes.remove(&key_bytes(table, found.values)) else { continue };
            let values = merged(change.values, found.values, self.batch.columns());
            whole.push(change.operation, change.version, Tuple::stored(&values));
        }
        whole.close(self.batch.synced_at())
    }

    /// The changes that stay as they are: of rows that are gone. A row under a new key that is gone is left out: what
    /// became of it follows in the stream.
    pub(super) fn rest(&self) -> Option<Batch> {
        if is_moved(self.batch) {
            return None;
        }
        let table = self.batch.table();
        let mut rest = Rows::new(Arc::clone(table), self.batch.columns().clone());
        let stays = |row: &Row<'_>| !lacks(row) || self.changes.contains_key(&key_bytes(table, row.values));
        let rows = self.batch.rows().filter(stays);
        rows.for_each(|row| rest.push(row.operation, row.version, row.values));
        rest.close(self.batch.synced_at())
    }
}

pub(super) fn lacks(row: &Row<'_>) -> bool {
    row.operation != Operation::Delete
}

pub(super) fn key_bytes(table: &Table, row: Tuple<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    key(table, row).for_each(|value| write_value(value, &mut bytes));
    bytes
}

/// The values of the change; those that it lacks are of the source.
fn merged(change: Tuple<'_>, source: Tuple<'_>, columns: &ColumnSet) -> Vec<u8> {
    let mut row = Vec::with_capacity(change.as_bytes().len() + source.as_bytes().len());
    for (place, (own, found)) in change.values().zip(source.values()).enumerate() {
        let is_own = columns.contains(place) && own != Value::Unchanged;
        write_value(if is_own { own } else { found }, &mut row);
    }
    row
}
