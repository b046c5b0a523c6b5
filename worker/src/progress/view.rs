//! A snapshot of the progress, for control.

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering::Relaxed,
    time::{Instant, SystemTime},
};

use super::{
    CopiesView, Durations, Progress, Sizes, SlotHealth, Stage, State, TableProgress, lock, unix_millis,
};
use crate::{fault::Fault, lsn::Lsn, table::TableName};

/// A server with nothing to send answers status updates every 3 s: after 5 s without a message it counts as silent.
const QUIET_MS: u64 = 5_000;

/// A snapshot of the progress.
#[derive(Debug, Clone)]
pub struct View {
    pub uptime_seconds: u64,
    /// Seconds since the last heartbeat of the supervisor.
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
    pub copies: CopiesView,
    pub sizes: Sizes,
    pub slot: Option<SlotHealth>,
    pub faults: Vec<Fault>,
    /// The name of the last request to copy tables anew that was taken up.
    pub snapshot_request: String,
    /// The job copied its tables once, and has ended.
    pub completed: bool,
}

impl View {
    /// Whether the target of every table is known to have every row of the source.
    pub fn is_whole(&self) -> bool {
        let is_whole = |table: &TableName| self.tables.get(table).is_some_and(|table| table.whole);
        !self.selected.is_empty() && self.selected.iter().all(is_whole)
    }

    /// Connected at both ends, streaming or paused by request, and without a fault.
    pub fn is_ready(&self) -> bool {
        let is_asked = matches!(self.state, State::Running | State::Paused);
        self.stage == Stage::Cdc && self.streaming && is_asked && self.faults.is_empty()
    }
}

impl Progress {
    pub fn view(&self) -> View {
        let (received, durable) = (Lsn(self.received.load(Relaxed)), Lsn(self.durable.load(Relaxed)));
        let (changes_received, done) = (self.changes_received.load(Relaxed), self.changes_done.load(Relaxed));
        let (loads, tables) = (lock(&self.loads).clone(), lock(&self.tables).clone());
        let uptime_seconds = self.started.elapsed().as_secs();
        View {
            uptime_seconds,
            quiet_seconds: uptime_seconds.saturating_sub(self.beat.load(Relaxed)),
            stage: Stage::of(self.stage.load(Relaxed)),
            state: self.state(),
            streaming: self.streaming.load(Relaxed),
            received,
            durable,
            confirmed: Lsn(self.confirmed.load(Relaxed)),
            changes_received,
            changes_pending: changes_received.saturating_sub(done),
            changes_done: done,
            held_bytes: self.held_bytes.load(Relaxed),
            lag_bytes: received.max(self.beyond()).since(durable),
            lag_ms: self.pending_ms().max(loads.recent_lag_ms(Instant::now())).max(self.silent_ms()),
            reconnects: self.reconnects.load(Relaxed),
            load_retries: self.load_retries.load(Relaxed),
            loads: loads.count,
            load_duration: loads.duration,
            commit_to_durable: loads.lag,
            selected: tables.selected,
            tables: tables.counted,
            copies: self.copies_view(),
            sizes: *lock(&self.sizes),
            slot: lock(&self.slot).clone(),
            faults: lock(&self.faults).gravest(),
            snapshot_request: lock(&self.snapshot_request).clone(),
            completed: self.completed.load(Relaxed),
        }
    }

    /// Milliseconds without a message of the server, once that counts as silence, or while nothing is read: commits
    /// since then are unknown and not replicated.
    fn silent_ms(&self) -> u64 {
        let silent = self.elapsed_ms().saturating_sub(self.heard.load(Relaxed));
        let flows = self.streaming.load(Relaxed) && self.state() == State::Running;
        if flows && silent < QUIET_MS { 0 } else { silent }
    }

    /// The end of the server's WAL as of the last query, used while the server is silent or nothing is read.
    fn beyond(&self) -> Lsn {
        let seen = lock(&self.slot).as_ref().and_then(|slot| slot.server);
        seen.filter(|_| self.silent_ms() > 0).unwrap_or_default()
    }

    fn pending_ms(&self) -> u64 {
        match self.oldest_pending.load(Relaxed) {
            0 => 0,
            oldest => unix_millis(SystemTime::now()).saturating_sub(oldest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job that was heard `silent` milliseconds ago.
    fn heard(silent: u64, state: State, streaming: bool) -> Progress {
        let mut progress = Progress::new(&[]);
        progress.started = Instant::now().checked_sub(std::time::Duration::from_secs(60)).unwrap();
        progress.received(Lsn(1));
        progress.heard.fetch_sub(silent, Relaxed);
        progress.set_state(state);
        progress.set_streaming(streaming);
        progress
    }

    #[test]
    fn bytes_that_were_never_received_count_while_nothing_comes() {
        let slot = || Some(SlotHealth { server: Some(Lsn(1_001)), ..SlotHealth::default() });
        for (state, bytes) in [(State::Running, 0), (State::Paused, 1_000)] {
            let progress = heard(2_000, state, true);
            progress.durable(Lsn(1));
            progress.slot_seen(slot());
            assert_eq!(progress.view().lag_bytes, bytes, "{state}");
        }
    }

    #[test]
    fn the_lag_grows_while_nothing_can_come() {
        for (silent, state, streaming, least, most) in [
            (2_000, State::Running, true, 0, 0),
            (8_000, State::Running, true, 8_000, 9_000),
            (2_000, State::Running, false, 2_000, 3_000),
            (2_000, State::Paused, true, 2_000, 3_000),
            (40_000, State::Stopped, false, 40_000, 41_000),
        ] {
            let lag = heard(silent, state, streaming).view().lag_ms;
            assert!(
                (least..=most).contains(&lag),
                "{lag} ms after {silent} ms, {state}, streaming: {streaming}"
            );
        }
    }
}
