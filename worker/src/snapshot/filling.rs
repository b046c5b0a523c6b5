//! Adds the values that changes of a table's rows lack while the table is copied.
//!
//! The stream does not send a large value that an update left unchanged. While a table is copied, the row may have moved
//! from a block that is not copied yet to one that was: then no chunk has the value either. So it is read from the
//! source, by the row's key. A value that is newer than the change is harmless, because its own change follows; a row
//! that is gone needs none, because its delete follows. It is never older: a transaction holds the lock on a row until
//! other sessions see its commit, so the row as it was before the change is visible when the change is in the WAL.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    gathering::Gathering,
    source::{ReadRows, Source},
};
use crate::{
    change::{Aim, Tuple, Value, write_value},
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::{Batch, ColumnSet, Load, Loaded, Operation, RecordCopy, Row, Rows, batch::key},
    progress::{Owner, Progress},
    schema_history::CopyState,
    table::{Table, TableId},
};

/// Pause after a failed attempt to read values.
const PAUSE: Duration = Duration::from_secs(1);

/// Bytes of a batch of whole rows: they may be many times larger than the changes.
const BATCH: usize = 4 << 20;

/// The tables that are being copied.
#[derive(Debug, Default)]
pub struct Copies(Mutex<HashSet<TableId>>);

impl Copies {
    pub fn of(tables: impl IntoIterator<Item = TableId>) -> Self {
        Self(Mutex::new(tables.into_iter().collect()))
    }

    pub(super) fn complete(&self, table: TableId) {
        self.tables().remove(&table);
    }

    fn has(&self, table: TableId) -> bool {
        self.tables().contains(&table)
    }

    // A set is valid whatever a thread that panicked was doing.
    fn tables(&self) -> MutexGuard<'_, HashSet<TableId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loads like `L`, with whole rows for the tables that are being copied.
#[derive(Debug)]
pub struct Filling<L, S: Source> {
    load: L,
    copies: Arc<Copies>,
    source: S,
    /// Readers that are not in use: loads of several tables may need one each, and a load may take long.
    idle: Mutex<Vec<S::Session>>,
    progress: Arc<Progress>,
}

impl<L: Load, S: Source> Filling<L, S> {
    pub fn new(load: L, copies: Arc<Copies>, source: S, progress: Arc<Progress>) -> Self {
        Self { load, copies, source, idle: Mutex::default(), progress }
    }

    /// Loads the batch with whole rows where the source has them. Retries without limit, like any load.
    async fn load_whole(&self, batch: &Batch) -> Result<Loaded, Fault> {
        let part = Part::Table(batch.table().name.clone());
        loop {
            match self.try_load_whole(batch).await {
                Ok(loaded) => {
                    self.progress.clear_of(Owner::Missing, &part);
                    return Ok(loaded);
                }
                Err(Failure::Load(fault)) => return Err(fault),
                Err(Failure::Source(fault)) => {
                    if self.progress.raise_of(Owner::Missing, Fault { part: part.clone(), ..fault.clone() }) {
                        warn!(table = %batch.table().name, error = %fault, "large values could not be read from the source");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn try_load_whole(&self, batch: &Batch) -> Result<Loaded, Failure> {
        let idle = self.idle().pop();
        let mut reader = idle.unwrap_or_else(|| self.source.session());
        let loaded = self.load_by(&mut reader, batch).await;
        self.idle().push(reader);
        loaded
    }

    fn idle(&self) -> MutexGuard<'_, Vec<S::Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load_by(&self, reader: &mut S::Session, batch: &Batch) -> Result<Loaded, Failure> {
        let (sender, found) = mpsc::channel(1);
        let (mut lacking, mut loaded) = (Lacking::of(batch), Loaded::default());
        let gathering =
            Gathering::new(batch.table(), Lsn::default(), BATCH, sender, CancellationToken::new());
        let reading = reader.rows_by_key(batch.clone(), gathering);
        let loading = async {
            let mut found = found; // a fault drops it, which ends the reading
            while let Some(found) = found.recv().await {
                self.load_more(lacking.filled_by(&found), &mut loaded).await?;
            }
            Ok(())
        };
        let (read, whole) = tokio::join!(reading, loading);
        whole.map_err(Failure::Load)?;
        read.map_err(Failure::Source)?;
        self.load_more(lacking.rest(), &mut loaded).await.map_err(Failure::Load)?;
        Ok(loaded)
    }

    async fn load_more(&self, batch: Option<Batch>, loaded: &mut Loaded) -> Result<(), Fault> {
        let Some(batch) = batch else { return Ok(()) };
        let more = self.load.load(&batch).await?;
        *loaded = Loaded { rows: loaded.rows + more.rows, bytes: loaded.bytes + more.bytes };
        Ok(())
    }
}

/// Why a batch was not loaded.
enum Failure {
    Load(Fault),
    Source(Fault),
}

/// Changes that lack values, by the keys of their rows.
struct Lacking<'a> {
    batch: &'a Batch,
    changes: HashMap<Vec<u8>, Row<'a>>,
}

impl<'a> Lacking<'a> {
    fn of(batch: &'a Batch) -> Self {
        let changes = batch.rows().filter(lacks).map(|row| (key_bytes(batch.table(), row.values), row));
        Self { batch, changes: changes.collect() }
    }

    /// The changes of these rows of the source, with whole rows.
    fn filled_by(&mut self, found: &Batch) -> Option<Batch> {
        let table = self.batch.table();
        let mut whole = Rows::new(Arc::clone(table), ColumnSet::All);
        for found in found.rows() {
            let Some(change) = self.changes.remove(&key_bytes(table, found.values)) else { continue };
            let values = merged(change.values, found.values, self.batch.columns());
            whole.push(change.operation, change.version, Tuple::stored(&values));
        }
        whole.close(self.batch.synced_at())
    }

    /// The changes that stay as they are: of rows that are gone.
    fn rest(&self) -> Option<Batch> {
        let table = self.batch.table();
        let mut rest = Rows::new(Arc::clone(table), self.batch.columns().clone());
        let stays = |row: &Row<'_>| !lacks(row) || self.changes.contains_key(&key_bytes(table, row.values));
        let rows = self.batch.rows().filter(stays);
        rows.for_each(|row| rest.push(row.operation, row.version, row.values));
        rest.close(self.batch.synced_at())
    }
}

fn lacks(row: &Row<'_>) -> bool {
    row.operation != Operation::Delete
}

fn key_bytes(table: &Table, row: Tuple<'_>) -> Vec<u8> {
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

impl<L: Load, S: Source> Load for Filling<L, S> {
    async fn load(&self, batch: &Batch) -> Result<Loaded, Fault> {
        let is_complete = *batch.columns() == ColumnSet::All || !self.copies.has(batch.table().id);
        if is_complete || batch.rows().all(|row| !lacks(&row)) {
            return self.load.load(batch).await;
        }
        self.load_whole(batch).await
    }

    async fn reshape(&self, aim: &Aim) -> Result<(), Fault> {
        self.load.reshape(aim).await
    }

    async fn truncate(&self, table: &Table) -> Result<(), Fault> {
        self.load.truncate(table).await
    }
}

impl<L: Load + RecordCopy, S: Source> RecordCopy for Filling<L, S> {
    async fn record_copy(&self, table: &Table, state: &CopyState) -> Result<(), Fault> {
        self.load.record_copy(table, state).await
    }

    async fn record_whole(&self, table: &Table) -> Result<(), Fault> {
        self.load.record_whole(table).await
    }
}
