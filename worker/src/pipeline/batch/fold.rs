//! Folds the changes of one key into one row.

use std::borrow::Cow;

use super::{
    Accumulation, ColumnSet, Operation, Row,
    store::{key, same_key},
};
pub use crate::config::Deletes;
use crate::{
    change::{Change, Old, Tuple, Value, write_value},
    fault::{Fault, Part, send_whole},
    lsn::Lsn,
    table::{Table, TableName},
};

/// A row changed its key, or its key is a large value, and the source did not send a value that the row under its new
/// key needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source did not send column {column}, which the row under its new key needs")]
pub struct IncompleteKeyChange {
    pub column: String,
}

impl IncompleteKeyChange {
    /// The fault of the table.
    pub fn fault(&self, table: &TableName) -> Fault {
        Fault::halt(
            Part::Table(table.clone()),
            crds::Reason::ReplicaIdentityInsufficient,
            format!("a row of {table} changed its key, and {self}"),
            format!(
                "take the table out of the job until the slot's confirmed_flush_lsn has passed this moment, for the \
                 change in the WAL stays incomplete (a job needs a table: where this is its only one, select another \
                 for the while); meanwhile {}, so that it does not happen again; then put the table back and do what its \
                 fault, TableLeftOut, says",
                send_whole(table)
            ),
        )
    }
}

impl Accumulation {
    pub(super) fn fold(&mut self, change: Change<'_>, version: Lsn) -> Result<(), IncompleteKeyChange> {
        match change {
            Change::Insert { new } => self.upsert(Operation::Insert, new, version),
            Change::Update { old: None, new } => self.upsert(Operation::Update, new, version),
            Change::Update { old: Some(old), new } => self.update(old, new, version),
            Change::Delete { old } => self.delete(old, version),
        }
    }

    /// Folds in a row of another accumulation as one change of its key.
    pub(super) fn fold_again(&mut self, row: Row<'_>, set: &ColumnSet) -> Result<(), IncompleteKeyChange> {
        let Row { operation, version, values } = row;
        match operation {
            Operation::Insert | Operation::Update => self.upsert(operation, values, version),
            Operation::Delete if *set == ColumnSet::All => self.delete(Old::Full(values), version),
            Operation::Delete => self.delete(Old::Key(values), version),
        }
    }

    fn update(&mut self, old: Old<'_>, new: Tuple<'_>, version: Lsn) -> Result<(), IncompleteKeyChange> {
        let new = match old {
            Old::Full(before) if has_unchanged(new) => Cow::Owned(merge(new, before, &ColumnSet::All)),
            Old::Key(before) if key(&self.table, new).any(|value| value == Value::Unchanged) => {
                Cow::Owned(with_key(&self.table, new, before))
            }
            _ => Cow::Borrowed(new.as_bytes()),
        };
        let (Old::Key(before) | Old::Full(before)) = old;
        let row = Tuple::stored(&new);
        if !same_key(&self.table, before, row) {
            return self.rekey(old, before, row, version);
        }
        if has_unchanged(row) {
            return self.upsert(Operation::Update, row, version);
        }
        self.put(Operation::Update, new, version, ColumnSet::All);
        Ok(())
    }

    /// Splits a change of key into a delete of the old key and an upsert of the new one.
    fn rekey(
        &mut self,
        old: Old<'_>,
        before: Tuple<'_>,
        new: Tuple<'_>,
        version: Lsn,
    ) -> Result<(), IncompleteKeyChange> {
        let filled = self.filled(before, new);
        let new = Tuple::stored(&filled);
        let set = self.set_of_moved(new)?;
        self.delete(old, version)?;
        self.put(Operation::Update, filled, version, set);
        Ok(())
    }

    /// The columns of a row under its new key. What it lacks is not in the target either.
    fn set_of_moved(&mut self, new: Tuple<'_>) -> Result<ColumnSet, IncompleteKeyChange> {
        let ColumnSet::Some(marks) = present(new) else { return Ok(ColumnSet::All) };
        let lacks = |place: &usize| !marks.get(*place).copied().unwrap_or(false);
        let lacking = (0..marks.len()).find(lacks).unwrap_or_default();
        let transaction = self.transaction.filter(|_| !self.table.key.iter().any(lacks));
        let transaction = transaction.ok_or_else(|| self.incomplete(lacking))?;
        if self.movers.last() != Some(&transaction) {
            self.movers.push(transaction);
        }
        Ok(ColumnSet::Lacking(marks))
    }

    fn upsert(
        &mut self,
        operation: Operation,
        new: Tuple<'_>,
        version: Lsn,
    ) -> Result<(), IncompleteKeyChange> {
        if !has_unchanged(new) {
            self.put(operation, Cow::Borrowed(new.as_bytes()), version, ColumnSet::All);
            return Ok(());
        }
        if let Some(place) = key(&self.table, new).position(|value| value == Value::Unchanged) {
            return Err(self.incomplete(self.table.key[place]));
        }
        let merged = self.filled(new, new);
        let set = match (present(Tuple::stored(&merged)), self.is_lacking(new)) {
            (ColumnSet::Some(marks), true) => ColumnSet::Lacking(marks),
            (set, _) => set,
        };
        self.put(operation, merged, version, set);
        Ok(())
    }

    /// Whether the stored row of this key lacks values.
    fn is_lacking(&self, new: Tuple<'_>) -> bool {
        let stored = self.store.find(&self.table, new);
        stored.is_some_and(|(_, set)| matches!(set, ColumnSet::Lacking(_)))
    }

    /// `new`, with its unchanged values taken from the stored row with the key of `before`, if there is one.
    fn filled<'a>(&self, before: Tuple<'_>, new: Tuple<'a>) -> Cow<'a, [u8]> {
        match self.store.find(&self.table, before) {
            Some((row, set)) if row.operation != Operation::Delete && has_unchanged(new) => {
                Cow::Owned(merge(new, row.values, set))
            }
            _ => Cow::Borrowed(new.as_bytes()),
        }
    }

    fn delete(&mut self, old: Old<'_>, version: Lsn) -> Result<(), IncompleteKeyChange> {
        let (values, set) = match (self.deletes, old) {
            (Deletes::Soft, Old::Full(before)) => (Cow::Borrowed(before.as_bytes()), present(before)),
            (Deletes::Soft, Old::Key(before)) => match self.store.find(&self.table, before) {
                Some((row, set)) => (Cow::Owned(row.values.as_bytes().to_vec()), of_deleted(set)),
                None => (Cow::Borrowed(before.as_bytes()), self.key_columns.clone()),
            },
            (Deletes::Hard, Old::Key(before) | Old::Full(before)) => {
                (Cow::Owned(only_key(&self.table, before)), self.key_columns.clone())
            }
        };
        self.put(Operation::Delete, values, version, set);
        Ok(())
    }

    fn put(&mut self, operation: Operation, values: Cow<'_, [u8]>, version: Lsn, set: ColumnSet) {
        self.store.put(&self.table, (operation, version), values, set);
    }

    fn incomplete(&self, column: usize) -> IncompleteKeyChange {
        let column = self.table.columns.get(column).map_or_else(String::new, |column| column.name.clone());
        IncompleteKeyChange { column }
    }
}

/// A deleted row needs no more values than it has.
fn of_deleted(set: &ColumnSet) -> ColumnSet {
    match set {
        ColumnSet::Lacking(marks) => ColumnSet::Some(marks.clone()),
        set => set.clone(),
    }
}

fn has_unchanged(values: Tuple<'_>) -> bool {
    values.values().any(|value| value == Value::Unchanged)
}

/// `new`, with its unchanged values taken from `before` where `before` has the column.
fn merge(new: Tuple<'_>, before: Tuple<'_>, known: &ColumnSet) -> Vec<u8> {
    let mut merged = Vec::with_capacity(new.as_bytes().len() + before.as_bytes().len());
    for (column, (new, before)) in new.values().zip(before.values()).enumerate() {
        let take_before = new == Value::Unchanged && known.contains(column);
        write_value(if take_before { before } else { new }, &mut merged);
    }
    merged
}

/// `new`, with an unchanged key (one that is stored as a large value) taken from `before`.
fn with_key(table: &Table, new: Tuple<'_>, before: Tuple<'_>) -> Vec<u8> {
    let marks = (0..table.columns.len()).map(|column| table.key.contains(&column));
    merge(new, before, &ColumnSet::Some(marks.collect()))
}

fn present(values: Tuple<'_>) -> ColumnSet {
    let marks: Box<[bool]> = values.values().map(|value| value != Value::Unchanged).collect();
    if marks.iter().all(|present| *present) { ColumnSet::All } else { ColumnSet::Some(marks) }
}

fn only_key(table: &Table, values: Tuple<'_>) -> Vec<u8> {
    let mut row = Vec::new();
    for (column, value) in values.values().enumerate() {
        write_value(if table.key.contains(&column) { value } else { Value::Null }, &mut row);
    }
    row
}
