//! How far the job is: written by those who do the work, read by control.
//!
//! Counters are plain atomics, counted once per batch or block; nothing here takes part in a decision
//! about delivery.

mod loss;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    fault::{Fault, Part},
    lsn::Lsn,
    table::TableName,
};

pub use self::loss::{Loss, Losses};

/// What the worker is doing, in the words of the dbmazz contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Nothing has been tried yet.
    Init,
    /// Connecting, checking, creating what is missing.
    Setup,
    /// Streaming changes.
    Cdc,
}

/// What the worker was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    Running,
    Paused,
    Draining,
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        })
    }
}

/// The board of one job.
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
    streaming: AtomicU8,
    /// Seconds from the start to the last beat.
    beat: AtomicU64,
    sizes: Mutex<Sizes>,
    slot: Mutex<Option<SlotHealth>>,
    faults: Mutex<BTreeMap<Part, Fault>>,
    /// Those of the job; what is counted may be of tables of the worker's own, or of tables that were left.
    selected: Mutex<Vec<TableName>>,
    tables: Mutex<BTreeMap<TableName, TableProgress>>,
    loads: Mutex<Loads>,
}

/// The sizes of loads that were asked for last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    pub max_rows: u64,
    pub max_bytes: u64,
    pub min_interval_ms: u64,
}

/// What PostgreSQL last said of the slot and its WAL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotHealth {
    /// `reserved`, `extended`, `unreserved` or `lost`; empty before PostgreSQL 13.
    pub wal_status: String,
    /// WAL that can still be written before the slot loses its own; none without a limit.
    pub safe_wal_bytes: Option<u64>,
    /// WAL that the server keeps for the slot.
    pub retained_wal_bytes: u64,
    /// Since somebody last read the slot (PostgreSQL 17); none while somebody does.
    pub inactive_seconds: Option<u64>,
    /// Empty for a slot that is valid.
    pub invalidation_reason: String,
}

impl SlotHealth {
    /// The WAL that the slot needs is going, or more than three quarters of what it may keep are used.
    pub fn is_at_risk(&self) -> bool {
        let is_going = matches!(self.wal_status.as_str(), "unreserved" | "lost");
        is_going || self.safe_wal_bytes.is_some_and(|safe| safe < self.retained_wal_bytes / 3)
    }
}

/// What one table has done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableProgress {
    pub rows: u64,
    pub bytes: u64,
    pub loads: u64,
    pub failed_loads: u64,
    /// Values that were altered by the job's rules.
    pub losses: Losses,
    /// Rows that StarRocks refused and that are parked.
    pub dead_letters: u64,
}

/// One load that ended well.
#[derive(Debug, Clone, Copy)]
pub struct LoadDone {
    /// Changes that the load settles, those superseded within the batch included.
    pub changes: u64,
    pub rows: u64,
    /// Bytes of the body.
    pub bytes: u64,
    pub seconds: f64,
    /// Seconds from the oldest commit in it to its durability.
    pub lag_seconds: f64,
}

/// Durations in seconds, counted into fixed buckets.
#[derive(Debug, Clone)]
pub struct Durations {
    pub buckets: [u64; BOUNDS.len() + 1],
    pub sum: f64,
    pub count: u64,
}

/// Upper bounds of the buckets of [`Durations`], seconds.
pub const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

impl Default for Durations {
    fn default() -> Self {
        Self { buckets: [0; BOUNDS.len() + 1], sum: 0.0, count: 0 }
    }
}

impl Durations {
    fn observe(&mut self, seconds: f64) {
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket] += 1;
        self.sum += seconds;
        self.count += 1;
    }
}

#[derive(Debug, Clone, Default)]
struct Loads {
    count: u64,
    duration: Durations,
    lag: Durations,
}

/// The board at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub uptime_seconds: u64,
    /// Seconds since the last beat of the job's main task.
    pub quiet_seconds: u64,
    pub stage: Stage,
    pub state: State,
    pub streaming: bool,
    pub received: Lsn,
    pub durable: Lsn,
    pub confirmed: Lsn,
    pub changes_received: u64,
    pub changes_pending: u64,
    pub changes_done: u64,
    pub held_bytes: u64,
    pub lag_bytes: u64,
    pub lag_ms: u64,
    pub reconnects: u64,
    pub load_retries: u64,
    pub loads: u64,
    pub load_duration: Durations,
    pub commit_to_durable: Durations,
    pub selected: Vec<TableName>,
    pub tables: BTreeMap<TableName, TableProgress>,
    pub sizes: Sizes,
    pub slot: Option<SlotHealth>,
    pub faults: Vec<Fault>,
}

impl Snapshot {
    /// Connected, streaming or paused by request, and without a fault.
    pub fn is_ready(&self) -> bool {
        self.streaming && self.faults.is_empty() && matches!(self.state, State::Running | State::Paused)
    }
}

impl Progress {
    pub fn new(tables: &[TableName]) -> Self {
        let counted = tables.iter().map(|name| (name.clone(), TableProgress::default())).collect();
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
            streaming: AtomicU8::new(0),
            beat: AtomicU64::new(0),
            sizes: Mutex::default(),
            slot: Mutex::default(),
            faults: Mutex::default(),
            selected: Mutex::new(tables.to_vec()),
            tables: Mutex::new(counted),
            loads: Mutex::default(),
        }
    }

    /// The job has these tables from now on; what was counted of those that stay is kept.
    pub fn set_tables(&self, names: &[TableName]) {
        *lock(&self.selected) = names.to_vec();
        let mut tables = lock(&self.tables);
        tables.retain(|name, _| names.contains(name));
        for name in names {
            tables.entry(name.clone()).or_default();
        }
    }

    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }

    pub fn state(&self) -> State {
        match self.state.load(Relaxed) {
            1 => State::Paused,
            2 => State::Draining,
            3 => State::Stopped,
            _ => State::Running,
        }
    }

    fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            1 => Stage::Setup,
            2 => Stage::Cdc,
            _ => Stage::Init,
        }
    }

    /// The replication connection is up, or is not.
    pub fn set_streaming(&self, streaming: bool) {
        self.streaming.store(u8::from(streaming), Relaxed);
    }

    /// The job's main task is alive. It says so every few seconds, whatever else it waits for.
    pub fn beat(&self) {
        self.beat.store(self.started.elapsed().as_secs(), Relaxed);
    }

    pub fn set_sizes(&self, sizes: Sizes) {
        *lock(&self.sizes) = sizes;
    }

    pub fn received(&self, lsn: Lsn) {
        self.received.fetch_max(lsn.0, Relaxed);
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

    /// When the oldest change that is not yet durable was committed.
    pub fn oldest_pending(&self, commit: Option<SystemTime>) {
        self.oldest_pending.store(commit.map_or(0, unix_millis), Relaxed);
    }

    pub fn reconnected(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    pub fn load_retried(&self, table: &TableName) {
        self.load_retries.fetch_add(1, Relaxed);
        lock(&self.tables).entry(table.clone()).or_default().failed_loads += 1;
    }

    /// A load is durable in which values were altered by the job's rules.
    pub fn values_altered(&self, table: &TableName, losses: &Losses) {
        lock(&self.tables).entry(table.clone()).or_default().losses.add(losses);
    }

    /// Rows of the table that StarRocks refused are parked, durably.
    pub fn rows_parked(&self, table: &TableName, rows: u64) {
        lock(&self.tables).entry(table.clone()).or_default().dead_letters += rows;
    }

    /// Changes that need no load any more: their table was emptied, or they come again.
    pub fn changes_settled(&self, changes: u64) {
        self.changes_done.fetch_add(changes, Relaxed);
    }

    pub fn load_done(&self, table: &TableName, done: LoadDone) {
        self.changes_done.fetch_add(done.changes, Relaxed);
        let mut loads = lock(&self.loads);
        loads.count += 1;
        loads.duration.observe(done.seconds);
        loads.lag.observe(done.lag_seconds);
        let mut tables = lock(&self.tables);
        let table = tables.entry(table.clone()).or_default();
        table.rows += done.rows;
        table.bytes += done.bytes;
        table.loads += 1;
    }

    /// Reports a fault; it stands until it is cleared. Says whether it is news.
    pub fn raise(&self, fault: Fault) -> bool {
        lock(&self.faults).insert(fault.part.clone(), fault.clone()).as_ref() != Some(&fault)
    }

    /// The part is well again. Says whether it was not.
    pub fn clear(&self, part: &Part) -> bool {
        lock(&self.faults).remove(part).is_some()
    }

    /// What PostgreSQL says of the slot. Says whether it has just become unsafe.
    pub fn slot_seen(&self, health: Option<SlotHealth>) -> bool {
        let is_at_risk = |health: &Option<SlotHealth>| health.as_ref().is_some_and(SlotHealth::is_at_risk);
        let mut known = lock(&self.slot);
        let news = is_at_risk(&health) && !is_at_risk(&known);
        *known = health;
        news
    }

    /// Every part is well.
    pub fn clear_all(&self) {
        lock(&self.faults).clear();
    }

    pub fn snapshot(&self) -> Snapshot {
        let (received, durable) = (Lsn(self.received.load(Relaxed)), Lsn(self.durable.load(Relaxed)));
        let (changes_received, done) = (self.changes_received.load(Relaxed), self.changes_done.load(Relaxed));
        let loads = lock(&self.loads).clone();
        let uptime_seconds = self.started.elapsed().as_secs();
        Snapshot {
            uptime_seconds,
            quiet_seconds: uptime_seconds.saturating_sub(self.beat.load(Relaxed)),
            stage: self.stage(),
            state: self.state(),
            streaming: self.streaming.load(Relaxed) == 1,
            received,
            durable,
            confirmed: Lsn(self.confirmed.load(Relaxed)),
            changes_received,
            changes_pending: changes_received.saturating_sub(done),
            changes_done: done,
            held_bytes: self.held_bytes.load(Relaxed),
            lag_bytes: received.since(durable),
            lag_ms: self.lag_ms(),
            reconnects: self.reconnects.load(Relaxed),
            load_retries: self.load_retries.load(Relaxed),
            loads: loads.count,
            load_duration: loads.duration,
            commit_to_durable: loads.lag,
            selected: lock(&self.selected).clone(),
            tables: lock(&self.tables).clone(),
            sizes: *lock(&self.sizes),
            slot: lock(&self.slot).clone(),
            faults: lock(&self.faults).values().cloned().collect(),
        }
    }

    fn lag_ms(&self) -> u64 {
        match self.oldest_pending.load(Relaxed) {
            0 => 0,
            oldest => unix_millis(SystemTime::now()).saturating_sub(oldest),
        }
    }
}

fn unix_millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}

// A thread that panicked while counting leaves counters that are still counters.
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
        assert_eq!(progress.snapshot().selected, [name("c"), name("a")]);
    }

    #[test]
    fn a_slot_is_at_risk_when_its_wal_is_going_or_most_of_what_it_may_keep_is_used() {
        let health = |wal_status: &str, safe_wal_bytes, retained_wal_bytes| SlotHealth {
            wal_status: wal_status.to_owned(),
            safe_wal_bytes,
            retained_wal_bytes,
            ..SlotHealth::default()
        };
        for (health, at_risk) in [
            (health("reserved", None, u64::MAX), false),
            (health("extended", Some(25), 75), false),
            (health("extended", Some(24), 76), true),
            (health("unreserved", None, 1), true),
            (health("lost", None, 1), true),
            (health("", None, 0), false),
        ] {
            assert_eq!(health.is_at_risk(), at_risk, "{health:?}");
        }
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
