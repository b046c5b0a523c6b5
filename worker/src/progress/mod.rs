//! Progress of the job: written by the tasks of the job, read by control.
//!
//! Counters are plain atomics, updated once per batch or block; no decision about delivery depends on them. The faults,
//! each with its owner, are in `faults`.

mod copies;
mod copy_rate;
mod faults;
mod load;
mod loss;
mod slot;
mod stage;
mod table;
mod view;

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use self::{copies::Copies, faults::Faults, load::Loads, table::Tables};
pub use self::{
    copies::{CopiesView, CopyFigures, CopyStep, CopyView},
    faults::Owner,
    load::{BOUNDS, Durations, LoadDone},
    loss::{Loss, Losses},
    slot::SlotHealth,
    stage::{Stage, State},
    table::TableProgress,
    view::View,
};
use crate::{lsn::Lsn, table::TableName};

/// The progress of one job.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    stage: AtomicU8,
    state: AtomicU8,
    received: AtomicU64,
    durable: AtomicU64,
    confirmed: AtomicU64,
    /// Changes received since the start.
    changes_received: AtomicU64,
    /// Changes that are durable or were superseded within their batch.
    changes_done: AtomicU64,
    /// Bytes held in memory between socket and answer.
    held_bytes: AtomicU64,
    /// Unix milliseconds of the oldest commit not yet durable; 0 when nothing is pending.
    oldest_pending: AtomicU64,
    reconnects: AtomicU64,
    load_retries: AtomicU64,
    streaming: AtomicBool,
    /// Seconds from the start to the last heartbeat.
    beat: AtomicU64,
    /// Milliseconds from the start to the last message of the server; 0 when there was none.
    heard: AtomicU64,
    sizes: Mutex<Sizes>,
    snapshot_request: Mutex<String>,
    completed: AtomicBool,
    slot: Mutex<Option<SlotHealth>>,
    faults: Mutex<Faults>,
    tables: Mutex<Tables>,
    copies: Mutex<Copies>,
    loads: Mutex<Loads>,
}

/// The requested limits of batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    pub max_rows: u64,
    pub max_bytes: u64,
    pub min_interval_ms: u64,
}

impl Progress {
    pub fn new(tables: &[TableName]) -> Self {
        let mut known = Tables::default();
        known.select(tables);
        Self {
            started: Instant::now(),
            stage: AtomicU8::new(Stage::Init as u8),
            state: AtomicU8::new(State::Running as u8),
            received: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            changes_received: AtomicU64::new(0),
            changes_done: AtomicU64::new(0),
            held_bytes: AtomicU64::new(0),
            oldest_pending: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            load_retries: AtomicU64::new(0),
            streaming: AtomicBool::new(false),
            beat: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            sizes: Mutex::default(),
            snapshot_request: Mutex::default(),
            completed: AtomicBool::new(false),
            slot: Mutex::default(),
            faults: Mutex::default(),
            tables: Mutex::new(known),
            copies: Mutex::default(),
            loads: Mutex::default(),
        }
    }

    /// Sets the tables of the job; counters of tables that stay are kept.
    pub fn set_tables(&self, names: &[TableName]) {
        lock(&self.tables).select(names);
        lock(&self.copies).select(names);
    }

    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }

    pub fn state(&self) -> State {
        State::of(self.state.load(Relaxed))
    }

    /// Sets whether the replication connection is up.
    pub fn set_streaming(&self, streaming: bool) {
        self.streaming.store(streaming, Relaxed);
    }

    /// Heartbeat of the supervisor, every few seconds, whatever else it waits for.
    pub fn beat(&self) {
        self.beat.store(self.started.elapsed().as_secs(), Relaxed);
    }

    /// Everything is copied, by a job that does nothing else, and its slot is dropped.
    pub fn set_completed(&self) {
        self.completed.store(true, Relaxed);
    }

    /// Sets the name of the last request to copy tables anew that was taken up.
    pub fn set_snapshot_request(&self, name: String) {
        *lock(&self.snapshot_request) = name;
    }

    pub fn set_sizes(&self, sizes: Sizes) {
        *lock(&self.sizes) = sizes;
    }

    /// The server has sent a message, and everything up to this position has been received.
    pub fn received(&self, lsn: Lsn) {
        self.received.fetch_max(lsn.0, Relaxed);
        self.heard.store(self.elapsed_ms().max(1), Relaxed);
    }

    /// Everything before this position has been received.
    pub fn received_lsn(&self) -> Lsn {
        Lsn(self.received.load(Relaxed))
    }

    pub fn durable(&self, lsn: Lsn) {
        self.durable.fetch_max(lsn.0, Relaxed);
    }

    pub fn confirmed(&self, lsn: Lsn) {
        self.confirmed.fetch_max(lsn.0, Relaxed);
    }

    pub fn changes_received(&self, changes: u64) {
        self.changes_received.fetch_add(changes, Relaxed);
    }

    /// Bytes held at this moment.
    pub fn held(&self) -> u64 {
        self.held_bytes.load(Relaxed)
    }

    pub fn held_bytes(&self, bytes: usize) {
        self.held_bytes.store(bytes as u64, Relaxed);
    }

    /// Commit time of the oldest change that is not yet durable.
    pub fn oldest_pending(&self, commit: Option<SystemTime>) {
        self.oldest_pending.store(commit.map_or(0, unix_millis), Relaxed);
    }

    pub fn reconnected(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    pub fn load_retried(&self, table: &TableName) {
        self.load_retries.fetch_add(1, Relaxed);
        lock(&self.tables).of(table).failed_loads += 1;
    }

    /// Whether the target of the table is known to have every row of the source.
    pub fn table_whole(&self, table: &TableName, whole: bool) {
        lock(&self.tables).of(table).whole = whole;
    }

    /// A load is durable in which values were altered by the job's rules.
    pub fn values_altered(&self, table: &TableName, losses: &Losses) {
        lock(&self.tables).of(table).losses.add(losses);
    }

    /// Rows of the table that StarRocks refused are stored as dead letters, durably.
    pub fn dead_letters_stored(&self, table: &TableName, rows: u64) {
        lock(&self.tables).of(table).dead_letters += rows;
    }

    /// Changes that need no load any more: their table was emptied, or they come again.
    pub fn changes_settled(&self, changes: u64) {
        self.changes_done.fetch_add(changes, Relaxed);
    }

    pub fn load_done(&self, table: &TableName, done: LoadDone) {
        self.changes_done.fetch_add(done.changes, Relaxed);
        lock(&self.loads).add(&done, Instant::now());
        let mut tables = lock(&self.tables);
        let table = tables.of(table);
        table.rows += done.rows;
        table.bytes += done.bytes;
        table.loads += 1;
    }

    fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Sets the slot's health. Returns whether the slot has just become at risk.
    pub fn slot_seen(&self, health: Option<SlotHealth>) -> bool {
        let is_at_risk = |health: &Option<SlotHealth>| health.as_ref().is_some_and(SlotHealth::is_at_risk);
        let mut known = lock(&self.slot);
        let news = is_at_risk(&health) && !is_at_risk(&known);
        *known = health;
        news
    }

    /// Restart and confirmed position of the slot and the end of the server's WAL, as of the last query.
    pub fn slot_place(&self) -> Option<(Lsn, Lsn, Lsn)> {
        let slot = lock(&self.slot);
        let health = slot.as_ref()?;
        Some((health.restart?, health.confirmed?, health.server?))
    }
}

fn unix_millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}

// A poisoned lock is used on: the counters stay valid when a thread panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_selected_is_a_table_of_the_job() {
        let name = |text| TableName::parse(text).unwrap();
        let progress = Progress::new(&[name("b"), name("a")]);
        progress.set_tables(&[name("c"), name("a")]);
        progress.load_retried(&name("dbmazz.dbmazz_jobs"));
        progress.load_retried(&name("b"));
        assert_eq!(progress.view().selected, [name("c"), name("a")]);
    }

    #[test]
    fn a_risk_is_news_once() {
        let (progress, lost) =
            (Progress::new(&[]), SlotHealth { wal_status: "lost".into(), ..SlotHealth::default() });
        assert!(progress.slot_seen(Some(lost.clone())));
        assert!(!progress.slot_seen(Some(lost.clone())));
        assert!(!progress.slot_seen(None));
        assert!(progress.slot_seen(Some(lost)));
    }
}
