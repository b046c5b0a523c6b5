//! Changes of one table for one load: at most one row per key, the last change winning.
//!
//! Rows are kept in the form in which pgoutput sends them, so a batch takes little more memory than its WAL. A row that
//! lacks values (an unchanged large value, or all but the key of a deleted row) takes them from an earlier change of
//! the same key in the batch. Where there is none, the row goes into a separate batch with its column set: a missing
//! value is never written as NULL. A row under a new key that lacks values cannot be a partial update, because the target
//! has no row of that key: it is loaded when the source has told them.

mod fold;
mod rows;
mod store;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc, time::SystemTime};

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3Default;

use self::store::Store;
pub(crate) use self::store::key;
pub use self::{
    fold::{Deletes, IncompleteKeyChange},
    rows::Rows,
};
use crate::{
    change::{Change, Tuple},
    lsn::Lsn,
    table::Table,
};

/// The kind of the last change of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Insert,
    Update,
    Delete,
}

/// The columns that a row has: all, or those whose place is marked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnSet {
    All,
    Some(Box<[bool]>),
    /// The others have to be read from the source before the row is loaded.
    Lacking(Box<[bool]>),
}

impl ColumnSet {
    pub fn contains(&self, column: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(marks) | Self::Lacking(marks) => marks.get(column).copied().unwrap_or(false),
        }
    }
}

/// One row of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub operation: Operation,
    /// The commit position of the row's transaction.
    pub version: Lsn,
    /// One value per column of the table; values of columns outside the batch's set are to be ignored.
    pub values: Tuple<'a>,
}

/// First and last position of a batch in the stream, and a digest of its content; batches with different content have
/// different identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Commit positions of the first and the last transaction in it.
    pub first: Lsn,
    pub last: Lsn,
    /// A digest of the rows, operations, versions and columns.
    pub digest: u64,
}

/// Collects the changes of one table until it is closed into batches.
#[derive(Debug)]
pub struct Accumulation {
    table: Arc<Table>,
    deletes: Deletes,
    key_columns: ColumnSet,
    store: Store,
    changes: u64,
    first: Lsn,
    last: Lsn,
    /// The transaction of the changes that follow; none where rows cannot be completed from the source.
    transaction: Option<u32>,
    /// Transactions that changed the key of a row which lacks values.
    movers: Vec<u32>,
    /// The transaction that began in an earlier accumulation, and whose changes go on in this one.
    continued: Option<u32>,
}

impl Accumulation {
    pub fn new(table: Arc<Table>, deletes: Deletes) -> Self {
        let marks: Box<[bool]> = (0..table.columns.len()).map(|column| table.key.contains(&column)).collect();
        let all_key = marks.iter().all(|key| *key);
        let key_columns = if all_key { ColumnSet::All } else { ColumnSet::Some(marks) };
        let store = Store::default();
        Self {
            table,
            deletes,
            key_columns,
            store,
            changes: 0,
            first: Lsn(0),
            last: Lsn(0),
            transaction: None,
            movers: Vec::new(),
            continued: None,
        }
    }

    /// The first changes are of this transaction, which has earlier ones in another accumulation.
    #[must_use]
    pub fn continuing(self, transaction: Option<u32>) -> Self {
        Self { continued: transaction, ..self }
    }

    /// For a sink that takes one column set per table: a hard-deleted row, which has only its key, counts as whole.
    pub fn of_whole_rows(table: Arc<Table>, deletes: Deletes) -> Self {
        let new = Self::new(table, deletes);
        if deletes == Deletes::Hard { Self { key_columns: ColumnSet::All, ..new } } else { new }
    }

    /// Folds in a later accumulation of the same table.
    pub fn absorb(&mut self, later: &Self) -> Result<(), IncompleteKeyChange> {
        if self.is_empty() {
            self.first = later.first;
        }
        for (row, set, block) in later.store.all_live() {
            self.store.enter(block);
            let folded = self.fold_again(row, set);
            self.store.leave_block();
            folded?;
        }
        self.changes += later.changes;
        self.last = later.last;
        Ok(())
    }

    /// The changes that follow are of this transaction, and rows that lack values can be completed from the source.
    pub fn begin(&mut self, transaction: u32) {
        self.transaction = Some(transaction);
    }

    /// As `push`, for a change in a block: a large row is not copied, and keeps the bytes of the block alive.
    pub fn push_from(
        &mut self,
        block: &Bytes,
        change: Change<'_>,
        version: Lsn,
    ) -> Result<(), IncompleteKeyChange> {
        self.store.enter(block);
        let pushed = self.push(change, version);
        self.store.leave_block();
        pushed
    }

    /// Adds the next change of the table, of the transaction that commits at `version`.
    pub fn push(&mut self, change: Change<'_>, version: Lsn) -> Result<(), IncompleteKeyChange> {
        self.fold(change, version)?;
        if self.changes == 0 {
            self.first = version;
        }
        self.changes += 1;
        self.last = version;
        Ok(())
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub fn is_empty(&self) -> bool {
        self.changes == 0
    }

    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Rows stored, superseded ones included.
    pub fn rows(&self) -> usize {
        self.store.rows()
    }

    /// Memory of the changes, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.store.held_bytes()
    }

    /// Closes the accumulation into one batch per column set.
    pub fn close(self, synced_at: SystemTime) -> Vec<Batch> {
        let Self { table, store, first, last, movers, continued, .. } = self;
        let sets = store.sets().len() as u16;
        let (store, movers) = (Arc::new(store), Arc::<[u32]>::from(movers));
        let batch = |set| Batch {
            movers: Arc::clone(&movers),
            continued,
            ..Batch::new(Arc::clone(&table), Arc::clone(&store), set, (first, last), synced_at)
        };
        (0..sets).map(batch).filter(|batch| batch.row_count() > 0).collect()
    }
}

/// The rows of one load. They are kept until the load is settled, so that it can be sent again.
#[derive(Debug, Clone)]
pub struct Batch {
    table: Arc<Table>,
    store: Arc<Store>,
    set: u16,
    /// Places among the live rows of the set.
    rows: Range<usize>,
    identity: Identity,
    synced_at: SystemTime,
    movers: Arc<[u32]>,
    continued: Option<u32>,
}

impl Batch {
    fn new(table: Arc<Table>, store: Arc<Store>, set: u16, span: (Lsn, Lsn), synced_at: SystemTime) -> Self {
        let identity = Identity { first: span.0, last: span.1, digest: 0 };
        let rows = 0..store.live(set).count();
        Self { table, store, set, rows, identity, synced_at, movers: Arc::default(), continued: None }
            .identified()
    }

    /// The same rows in two batches; `None` for a single row. They may be loaded in any order: no key is in both.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let Range { start, end } = self.rows;
        let middle = start + self.row_count() / 2;
        (start < middle).then(|| [start..middle, middle..end].map(|rows| self.part(rows)))
    }

    fn part(&self, rows: Range<usize>) -> Self {
        Self { rows, ..self.clone() }.identified()
    }

    fn identified(mut self) -> Self {
        self.identity.digest = digest(&self);
        self
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub fn columns(&self) -> &ColumnSet {
        self.store.sets().get(usize::from(self.set)).unwrap_or(&ColumnSet::All)
    }

    /// Live rows, one per key.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.store.live(self.set).skip(self.rows.start).take(self.row_count())
    }

    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Memory of the rows, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.store.held_bytes()
    }

    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Transactions that have to be visible at the source before values that rows lack are read from it: until then it may
    /// show another row under the new key.
    pub fn movers(&self) -> &Arc<[u32]> {
        &self.movers
    }

    /// The transaction that has earlier changes in another batch. Before it is visible at the source, a row there may be
    /// older than those changes.
    pub fn continued(&self) -> Option<u32> {
        self.continued
    }

    /// When the batch was closed; the same on every attempt.
    pub fn synced_at(&self) -> SystemTime {
        self.synced_at
    }
}

fn digest(batch: &Batch) -> u64 {
    let mut digest = Xxh3Default::new();
    digest.update(format!("{:?}", batch.store.sets().get(usize::from(batch.set))).as_bytes());
    for row in batch.rows() {
        digest.update(&[row.operation as u8]);
        digest.update(&row.version.0.to_le_bytes());
        digest.update(row.values.as_bytes());
    }
    digest.digest()
}
