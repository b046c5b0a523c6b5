//! The simulated StarRocks: one table of rows by key, what is recorded of its copy, and loads that take their time.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::mpsc;

use super::{
    catalogue::{ID, V},
    heap::{Datum, Values},
    reader::row_of,
    world::World,
};
use crate::{
    change::{Aim, Tuple, Value},
    fault::Fault,
    lsn::Lsn,
    pipeline::{
        Batch, Bulk, ColumnSet, Doubt, Load, Loaded, Operation, Piece, RecordCopy, Rows, batch::Deletes,
    },
    schema_history::CopyState,
    table::{Column, Fill, Kind, Table},
};

/// Pause of the loader after a failed attempt.
const BACK_OFF: Duration = Duration::from_millis(50);

/// The life that wrote a row which no worker did.
const FOREIGN: u32 = 0;
/// Rows about which the copies are asked at once.
const DOUBTFUL: usize = 2;

#[derive(Debug)]
pub(super) struct Sink {
    pub(super) rows: BTreeMap<Datum, SinkRow>,
    /// The columns, by the numbers that they have at the source, with the value of rows that do not bring one.
    columns: BTreeMap<i32, Datum>,
    deletes: Deletes,
    bulk: bool,
    /// What is recorded in the table's history.
    pub(super) copy: Option<CopyState>,
    pub(super) whole: bool,
    pub(super) loading: Duration,
    /// So many attempts fail.
    pub(super) failing: u32,
    in_flight: BTreeMap<u64, Effect>,
    next: u64,
    /// The life of the worker, counted.
    pub(super) life: u32,
    /// What must not happen and did.
    pub(super) wrong: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct SinkRow {
    pub(super) values: Values,
    pub(super) version: Lsn,
    pub(super) is_deleted: bool,
    /// The life that wrote it last.
    life: u32,
}

/// What a load does when it commits.
#[derive(Debug, Clone)]
enum Effect {
    Rows(Vec<Batch>, By),
    Truncate,
    Columns(Table),
    Copy(Option<CopyState>, bool),
}

/// Which task loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Stream,
    Copies,
}

impl Sink {
    pub(super) fn new(deletes: Deletes, bulk: bool) -> Self {
        Self {
            rows: BTreeMap::new(),
            columns: BTreeMap::new(),
            deletes,
            bulk,
            copy: None,
            whole: false,
            loading: Duration::from_millis(1),
            failing: 0,
            in_flight: BTreeMap::new(),
            next: 0,
            life: 0,
            wrong: Vec::new(),
        }
    }

    /// A new worker brings the loads of the one before to their ends, before it loads: each was committed or is not.
    pub(super) fn succeed(&mut self, committed: bool) {
        for effect in std::mem::take(&mut self.in_flight).into_values().filter(|_| committed) {
            self.apply(effect);
        }
        self.life += 1;
    }

    pub(super) fn prepare(&mut self, table: &Table) {
        for column in &table.columns {
            self.columns.entry(column.number).or_insert_with(|| fill(column));
        }
    }

    pub(super) fn has(&self, column: &Column) -> bool {
        self.columns.contains_key(&column.number)
    }

    /// Somebody writes a row, and the table is to be copied anew.
    pub(super) fn take_anew(&mut self, key: u8, high: bool) {
        let values = Values::from([(ID, Some(key.to_string())), (V, Some("666".into()))]);
        let version = if high { Lsn(1 << 40) } else { Lsn(1) };
        let row = SinkRow { values, version, is_deleted: false, life: FOREIGN };
        self.rows.insert(Some(key.to_string()), row);
        self.copy = Some(self.copy.take().map_or_else(CopyState::anew, CopyState::removing));
        self.whole = false;
    }

    /// Keys of rows whose version is out of the bounds.
    fn doubtful(&self, table: &Arc<Table>, doubt: Doubt) -> Option<Batch> {
        let is_key = table.columns.iter().map(|column| column.number == ID).collect();
        let mut rows = Rows::new(Arc::clone(table), ColumnSet::Some(is_key));
        let is_out = |row: &SinkRow| row.version < doubt.below || row.version > doubt.above;
        let found = self.rows.iter().filter(|(_, row)| !row.is_deleted && is_out(row));
        for (key, row) in found.take(DOUBTFUL) {
            let value = |number| if number == ID { key.clone() } else { None };
            let values = row_of(table.columns.iter().map(|column| value(column.number)));
            rows.push(Operation::Insert, row.version, Tuple::stored(&values));
        }
        rows.close(SystemTime::UNIX_EPOCH)
    }

    /// The rows that are not deleted, with the columns of `table`.
    pub(super) fn live_rows(&self, table: &Table) -> BTreeMap<Datum, Vec<Datum>> {
        let value = |row: &SinkRow, number: i32| {
            row.values.get(&number).or(self.columns.get(&number)).cloned().unwrap_or_default()
        };
        let whole = |row: &SinkRow| table.columns.iter().map(|column| value(row, column.number)).collect();
        let live = self.rows.iter().filter(|(_, row)| !row.is_deleted);
        live.map(|(key, row)| (key.clone(), whole(row))).collect()
    }

    fn begin(&mut self, effect: Effect) -> u64 {
        self.next += 1;
        self.in_flight.insert(self.next, effect);
        self.next
    }

    /// Whether the load with this label is committed.
    fn commit(&mut self, label: u64) -> bool {
        let fails = self.failing > 0;
        self.failing = self.failing.saturating_sub(1);
        // The answer of every other attempt that fails is lost, and its load is committed.
        if fails && self.failing.is_multiple_of(2) {
            return false;
        }
        if let Some(effect) = self.in_flight.remove(&label) {
            self.apply(effect);
        }
        !fails
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Rows(batches, by) => batches.iter().for_each(|batch| self.load(batch, by)),
            Effect::Truncate => self.rows.clear(),
            Effect::Columns(table) => self.prepare(&table),
            Effect::Copy(copy, whole) => (self.copy, self.whole) = (copy, whole),
        }
    }

    fn load(&mut self, batch: &Batch, by: By) {
        let table = batch.table();
        for row in batch.rows() {
            let columns = table.columns.iter().zip(row.values.values()).enumerate();
            let brought =
                columns.filter(|(place, (column, _))| column.stored && batch.columns().contains(*place));
            let values: Values =
                brought.map(|(_, (column, value))| (column.number, self.value(column, value))).collect();
            let key = values[&table.columns[0].number].clone();
            if by == By::Copies && row.operation == Operation::Update {
                self.wrong.push(format!("a copied row is no insert: {key:?}"));
            }
            self.put(key, row.operation, row.version, values, by);
        }
    }

    fn value(&mut self, column: &Column, value: Value<'_>) -> Datum {
        let Value::Text(text) = value else { return None };
        let text = String::from_utf8(text.to_vec()).unwrap();
        if column.kind == Kind::Integer && text.parse::<i32>().is_err() {
            self.wrong.push(format!("{text} does not fit {}", column.name));
        }
        if !self.columns.contains_key(&column.number) {
            self.wrong.push(format!("the target has no column {}", column.name));
        }
        Some(text)
    }

    fn put(&mut self, key: Datum, operation: Operation, version: Lsn, values: Values, by: By) {
        let life = self.life;
        let before = self.rows.get(&key);
        if let Some(before) = before
            && version < before.version
            && (before.life == life || by == By::Copies && before.life != FOREIGN)
        {
            self.wrong.push(format!("the version of {key:?} falls from {} to {version}", before.version));
        }
        let is_deleted = operation == Operation::Delete;
        if is_deleted && self.deletes == Deletes::Hard {
            self.rows.remove(&key);
            return;
        }
        let mut all = before.map_or_else(|| self.columns.clone(), |before| before.values.clone());
        all.extend(values);
        self.rows.insert(key, SinkRow { values: all, version, is_deleted, life });
    }
}

fn fill(column: &Column) -> Datum {
    match &column.fill {
        Fill::Value(value) => Some(value.clone()),
        Fill::Null | Fill::Unknown => None,
    }
}

/// The loader of one worker.
#[derive(Debug, Clone)]
pub(super) struct Loader(pub(super) World, pub(super) By);

impl Loader {
    async fn perform(&self, effect: Effect) {
        let label = self.0.ends().sink.begin(effect);
        loop {
            let time = self.0.ends().sink.loading;
            tokio::time::sleep(time).await;
            if self.0.ends().sink.commit(label) {
                return;
            }
            tokio::time::sleep(BACK_OFF).await;
        }
    }
}

impl Load for Loader {
    async fn load(&self, batch: &Batch) -> Result<Loaded, Fault> {
        self.perform(Effect::Rows(vec![batch.clone()], self.1)).await;
        Ok(Loaded { rows: batch.row_count() as u64, bytes: 1 })
    }

    fn takes_bulk(&self, _: &Table) -> bool {
        self.0.ends().sink.bulk
    }

    async fn load_bulk(
        &self,
        _: &Arc<Table>,
        _: usize,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> Result<Bulk, Fault> {
        let (mut batches, mut loaded) = (Vec::new(), Loaded::default());
        while let Some(piece) = pieces.recv().await {
            let Piece::Rows(batch) = piece else {
                self.perform(Effect::Rows(batches, self.1)).await;
                return Ok(Bulk::Durable(loaded));
            };
            loaded.rows += batch.row_count() as u64;
            batches.push(batch);
        }
        Ok(Bulk::GivenUp)
    }

    async fn reshape(&self, aim: &Aim) -> Result<(), Fault> {
        self.perform(Effect::Columns(aim.table.clone())).await;
        Ok(())
    }

    async fn truncate(&self, _: &Table) -> Result<(), Fault> {
        self.perform(Effect::Truncate).await;
        Ok(())
    }
}

impl RecordCopy for Loader {
    async fn record_copy(&self, _: &Table, state: &CopyState) -> Result<(), Fault> {
        self.perform(Effect::Copy(Some(state.clone()), false)).await;
        Ok(())
    }

    async fn doubtful(&self, table: &Arc<Table>, doubt: Doubt) -> Result<Option<Batch>, Fault> {
        let time = self.0.ends().sink.loading;
        tokio::time::sleep(time).await;
        Ok(self.0.ends().sink.doubtful(table, doubt))
    }

    async fn record_whole(&self, _: &Table) -> Result<(), Fault> {
        self.perform(Effect::Copy(None, true)).await;
        Ok(())
    }
}
