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
use tracing::warn;

use super::reader::Reader;
use crate::{
    change::{Aim, Tuple, Value, write_value},
    config::SourceConfig,
    fault::{Fault, Part},
    pipeline::{Batch, ColumnSet, Load, Loaded, Operation, RecordCopy, Row, Rows, batch::key},
    postgres::copy::CopySession,
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
pub struct Filling<L> {
    load: L,
    copies: Arc<Copies>,
    source: SourceConfig,
    /// Readers that are not in use: loads of several tables may need one each, and a load may take long.
    idle: Mutex<Vec<Reader>>,
    progress: Arc<Progress>,
}

impl<L: Load> Filling<L> {
    pub fn new(load: L, copies: Arc<Copies>, source: SourceConfig, progress: Arc<Progress>) -> Self {
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
        let mut reader = idle.unwrap_or_else(|| Reader::new(self.source.clone()));
        let loaded = self.load_by(&mut reader, batch).await;
        self.idle().push(reader);
        loaded
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load_by(&self, reader: &mut Reader, batch: &Batch) -> Result<Loaded, Failure> {
        let (sender, mut filled) = mpsc::channel(1);
        let lacking = batch.clone();
        let reading = reader.with(move |session| read(session, &lacking, &sender));
        let loading = async move {
            let mut loaded = Loaded::default();
            while let Some(batch) = filled.recv().await {
                let more = self.load.load(&batch).await?;
                loaded = Loaded { rows: loaded.rows + more.rows, bytes: loaded.bytes + more.bytes };
            }
            Ok(loaded)
        };
        let (read, loaded) = tokio::join!(reading, loading);
        let loaded = loaded.map_err(Failure::Load)?;
        read.map_err(Failure::Source)?;
        Ok(loaded)
    }
}

/// Why a batch was not loaded.
enum Failure {
    Load(Fault),
    Source(Fault),
}

/// Sends the batch's rows in batches that are whole, and then those that stay as they are.
fn read(session: &mut CopySession, batch: &Batch, filled: &mpsc::Sender<Batch>) -> Result<(), Fault> {
    let table = batch.table();
    let mut lacking: HashMap<_, _> =
        batch.rows().filter(lacks).map(|row| (key_bytes(table, row.values), row)).collect();
    let keys: Vec<Vec<Value<'_>>> = lacking.values().map(|row| key(table, row.values).collect()).collect();
    let mut whole = Rows::new(Arc::clone(table), ColumnSet::All);
    let send = |rows: Rows| {
        // The receiver is gone when a load has failed, and its fault is returned.
        rows.close(batch.synced_at()).into_iter().for_each(|batch| drop(filled.blocking_send(batch)));
    };
    session.rows_by_key(table, &keys, |found| {
        let Some(change) = lacking.remove(&key_bytes(table, found)) else { return };
        let values = merged(change.values, found, batch.columns());
        whole.push(change.operation, change.version, Tuple::stored(&values));
        if whole.held_bytes() >= BATCH {
            send(std::mem::replace(&mut whole, Rows::new(Arc::clone(table), ColumnSet::All)));
        }
    })?;
    send(whole);
    let mut rest = Rows::new(Arc::clone(table), batch.columns().clone());
    let stays = |row: &Row<'_>| !lacks(row) || lacking.contains_key(&key_bytes(table, row.values));
    batch.rows().filter(stays).for_each(|row| rest.push(row.operation, row.version, row.values));
    send(rest);
    Ok(())
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

impl<L: Load> Load for Filling<L> {
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

impl<L: Load + RecordCopy> RecordCopy for Filling<L> {
    async fn record_copy(&self, table: &Table, state: &CopyState) -> Result<(), Fault> {
        self.load.record_copy(table, state).await
    }

    async fn record_whole(&self, table: &Table) -> Result<(), Fault> {
        self.load.record_whole(table).await
    }
}
