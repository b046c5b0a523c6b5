//! Adds the values that changes of a table's rows lack while the table is copied.
//!
//! The stream does not send a large value that an update left unchanged. While a table is copied, the row may have moved
//! from a block that is not copied yet to one that was: then no chunk has the value either. So it is read from the
//! source, by the row's key. A value that is newer than the change is harmless, because its own change follows; a row
//! that is gone needs none, because its delete follows.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use tracing::warn;

use super::reader::Reader;
use crate::{
    change::{Aim, Tuple, Value, write_value},
    config::SourceConfig,
    fault::{Fault, Part},
    pipeline::{Batch, ColumnSet, Load, Loaded, Operation, RecordCopy, Routed, Row, Rows},
    progress::{Owner, Progress},
    schema_history::CopyState,
    table::{Table, TableId},
};

/// Pause after a failed attempt to read values.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause until transactions are looked for again that are not visible yet.
const UNTIL_SEEN: Duration = Duration::from_millis(50);

/// Rows by the bytes of their keys.
type WholeRows = HashMap<Vec<u8>, Vec<u8>>;

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
    routed: Arc<Routed>,
    reader: tokio::sync::Mutex<Reader>,
    progress: Arc<Progress>,
}

impl<L: Load> Filling<L> {
    pub fn new(
        load: L,
        copies: Arc<Copies>,
        routed: Arc<Routed>,
        source: SourceConfig,
        progress: Arc<Progress>,
    ) -> Self {
        let reader = tokio::sync::Mutex::new(Reader::new(source));
        Self { load, copies, routed, reader, progress }
    }

    /// The rows of the batch, completed where the source has them.
    async fn complete(&self, batch: &Batch) -> Vec<Batch> {
        let part = Part::Table(batch.table().name.clone());
        loop {
            match self.read(batch).await {
                Ok(whole) => {
                    self.progress.clear_of(Owner::Missing, &part);
                    return completed(batch, &whole);
                }
                Err(fault) => {
                    if self.progress.raise_of(Owner::Missing, Fault { part: part.clone(), ..fault.clone() }) {
                        warn!(table = %batch.table().name, error = %fault, "large values could not be read from the source");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// The whole rows of the batch's keys, by their keys. They are read after every change that was routed so far: an
    /// older row could have an older value.
    async fn read(&self, batch: &Batch) -> Result<WholeRows, Fault> {
        let mut reader = self.reader.lock().await;
        loop {
            let (batch, (mark, routed)) = (batch.clone(), self.routed.now());
            let read = reader.with(move |session| {
                let table = batch.table();
                let mut whole = WholeRows::new();
                let keys: Vec<Vec<Value<'_>>> =
                    batch.rows().filter(lacks).map(|row| key_values(table, row.values).collect()).collect();
                let unseen = session.rows_by_key(table, &keys, &routed, |row| {
                    whole.insert(key_bytes(table, row), row.as_bytes().to_vec());
                })?;
                Ok((unseen, whole))
            });
            let (unseen, whole) = read.await?;
            self.routed.seen(mark, &unseen);
            if unseen.is_empty() {
                return Ok(whole);
            }
            sleep(UNTIL_SEEN).await;
        }
    }
}

fn lacks(row: &Row<'_>) -> bool {
    row.operation != Operation::Delete
}

/// The values of the key columns, in key order, in their canonical spelling.
fn key_values<'a>(table: &'a Table, row: Tuple<'a>) -> impl Iterator<Item = Value<'a>> {
    table.key.iter().map(move |place| {
        match (row.values().nth(*place).unwrap_or(Value::Null), table.columns.get(*place)) {
            (Value::Text(text), Some(column)) => Value::Text(column.kind.key_text(text)),
            (value, _) => value,
        }
    })
}

fn key_bytes(table: &Table, row: Tuple<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    key_values(table, row).for_each(|value| write_value(value, &mut bytes));
    bytes
}

/// The batch in two: rows that are whole now, and rows that are not.
fn completed(batch: &Batch, whole: &WholeRows) -> Vec<Batch> {
    let table = batch.table();
    let mut filled = Rows::new(Arc::clone(table), ColumnSet::All);
    let mut rest = Rows::new(Arc::clone(table), batch.columns().clone());
    for row in batch.rows() {
        let found = lacks(&row).then(|| whole.get(&key_bytes(table, row.values))).flatten();
        match found {
            Some(source) => {
                let values = merged(row.values, Tuple::stored(source), batch.columns());
                filled.push(row.operation, row.version, Tuple::stored(&values));
            }
            None => rest.push(row.operation, row.version, row.values),
        }
    }
    let synced_at = batch.synced_at();
    filled.close(synced_at).into_iter().chain(rest.close(synced_at)).collect()
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
        let mut loaded = Loaded::default();
        for batch in self.complete(batch).await {
            let more = self.load.load(&batch).await?;
            loaded = Loaded { rows: loaded.rows + more.rows, bytes: loaded.bytes + more.bytes };
        }
        Ok(loaded)
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
