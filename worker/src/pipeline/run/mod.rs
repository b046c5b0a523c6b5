//! The pipeline task: receives blocks while the buffer has room, starts loads, and publishes the durable position.
//!
//! One byte budget bounds what is held between socket and answer. When it is used up the pipeline stops receiving, the
//! reader stops reading, and PostgreSQL keeps the WAL. A table that blocks all others falls behind: it keeps only its
//! load in flight, and its discarded changes are read again when that has ended.

mod behind;
mod completion;
mod events;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{Notify, mpsc, watch},
    time::sleep_until,
};

use super::{
    Load,
    barrier::Copies,
    inputs::{Inputs, Limits, Settings},
    lane::{Barrier, Lane, Transaction},
    ledger::Ledger,
    load_task::{LoadTasks, run_task},
    positions::{TablePositions, publish},
    scheduler::Traffic,
};
use crate::{
    change::{Aim, ReceivedBlock},
    fault::Fault,
    lsn::Lsn,
    progress::Progress,
    table::{Table, TableId},
};

/// One job's pipeline, from blocks to the durable position.
#[derive(Debug)]
pub struct Pipeline<L> {
    limits: Limits,
    buffer: usize,
    lanes: Vec<Lane>,
    ledger: Ledger,
    transaction: Transaction,
    load: Arc<L>,
    tasks: LoadTasks,
    /// The lane that is checked first for its next load.
    turn: usize,
    last_completed: Option<Instant>,
    /// None where no table is copied.
    copies: Option<Copies>,
    read_again: Arc<Notify>,
    read_again_at: Option<Instant>,
    durable: watch::Sender<Lsn>,
    progress: Arc<Progress>,
}

impl<L: Load> Pipeline<L> {
    pub fn new(inputs: Inputs<'_>, load: Arc<L>) -> Self {
        let Inputs { settings, tables, start, durable, progress } = inputs;
        let Settings { batch, buffer, deletes, holds_wal } = settings;
        let mut limits = Limits::new(batch, buffer);
        let batch = limits.now();
        let mut ledger = Ledger::starting_at(start);
        if holds_wal {
            // Never settled, like the ticket of a halted table.
            ledger.open();
        }
        let lane = |table: &Table| Lane::new(Arc::new(table.clone()), deletes, batch);
        Self {
            limits,
            buffer,
            lanes: tables.iter().map(lane).collect(),
            ledger,
            transaction: Transaction { commit: start, time: SystemTime::UNIX_EPOCH, xid: 0 },
            load,
            tasks: LoadTasks::default(),
            turn: 0,
            last_completed: None,
            copies: None,
            read_again: Arc::default(),
            read_again_at: None,
            durable,
            progress,
        }
    }

    /// `read_again` is notified when a new session should read the discarded changes of a table again.
    #[must_use]
    pub fn telling(self, read_again: Arc<Notify>) -> Self {
        Self { read_again, ..self }
    }

    /// Serves a task that copies rows.
    #[must_use]
    pub fn beside(self, copies: Option<Copies>) -> Self {
        Self { copies, ..self }
    }

    /// Skips the transactions that single tables already have.
    #[must_use]
    pub fn resuming(mut self, reached: &TablePositions) -> Self {
        self.lanes.iter_mut().for_each(|lane| lane.resume(reached.of(&lane.table().name)));
        self
    }

    /// Loads of these tables wait until their targets have the given columns.
    #[must_use]
    pub fn awaiting(mut self, targets: impl IntoIterator<Item = (TableId, Arc<Aim>)>) -> Self {
        for (table, aim) in targets {
            if let Some(lane) = self.lanes.get_mut(table.0 as usize) {
                lane.push_barrier(Barrier::Reshape(aim), &mut self.ledger);
            }
        }
        self
    }

    /// These tables are halted from the start; the others are loaded.
    #[must_use]
    pub fn halting(mut self, tables: impl IntoIterator<Item = (TableId, Fault)>) -> Self {
        tables.into_iter().for_each(|(table, fault)| self.halt(table, fault));
        self
    }

    /// Runs until the blocks end and everything received is settled, except for tables that are behind. Returns the
    /// position of each table, and whether everything received is durable and came in whole transactions. Dropping
    /// the future loses nothing: what was not durable was not confirmed.
    pub async fn run(mut self, mut blocks: mpsc::Receiver<ReceivedBlock>) -> (TablePositions, bool) {
        let mut draining = false;
        loop {
            self.unblock_others();
            let due = self.next_work(draining);
            self.publish();
            if draining && self.lanes.iter().all(|lane| lane.is_empty() || lane.is_behind()) {
                let is_settled = self.ledger.is_settled();
                return (self.end().await, is_settled);
            }
            let room = self.has_room();
            tokio::select! {
                biased; // make room first, then take more
                Some(ended) = self.tasks.next() => self.settle(ended),
                ask = Copies::next(&mut self.copies), if !draining => match ask {
                    Some(ask) => self.place(ask),
                    None => self.copies = None, // every copy has ended
                },
                block = blocks.recv(), if !draining && room => match block {
                    Some(block) => self.take(&block),
                    None => draining = true,
                },
                () = self.limits.changed() => self.limit(),
                () = sleep_until(due.into()) => {}
            }
        }
    }

    /// Aborts the tasks of tables that are behind: their labels are recorded, and resolved before anything else is
    /// loaded.
    async fn end(self) -> TablePositions {
        let received = self.ledger.received();
        self.tasks.end().await;
        let reached = |lane: &Lane| (lane.table().name.clone(), lane.reached(received));
        TablePositions::new(self.lanes.iter().map(reached))
    }

    fn limit(&mut self) {
        let batch = self.limits.now();
        self.lanes.iter_mut().for_each(|lane| lane.limit(batch));
    }

    /// Begins the loads that are due, as many as may run at once, in turn. Returns when to check again.
    fn next_work(&mut self, draining: bool) -> Instant {
        let (now, synced_at) = (now(), SystemTime::now());
        let mut traffic = Traffic::of(&self.lanes, now);
        let largest = self.largest_idle(&traffic);
        let (count, first) = (self.lanes.len(), self.turn);
        for place in (0..count).map(|step| (first + step) % count) {
            if !traffic.has_room() {
                break;
            }
            let urgent = draining || largest == Some(place);
            if self.begin_load(place, now, synced_at, urgent) {
                traffic.began();
                self.turn = (place + 1) % count;
            }
        }
        self.next_due(&traffic, now)
    }

    fn begin_load(&mut self, place: usize, now: Instant, synced_at: SystemTime, urgent: bool) -> bool {
        let Some(lane) = self.lanes.get_mut(place) else { return false };
        let Some(task) = lane.next_work(now, synced_at, urgent) else { return false };
        let (table, load) = (Arc::clone(lane.table()), Arc::clone(&self.load));
        self.tasks.begin(table.id, run_task(table, task, load, Arc::clone(&self.progress)));
        true
    }

    /// The idle table that holds most, when the buffer is full and no task in flight is likely to free some of it soon.
    fn largest_idle(&self, traffic: &Traffic) -> Option<usize> {
        if self.has_room() || traffic.makes_room_soon() {
            return None;
        }
        let idle = self.lanes.iter().enumerate().filter(|(_, lane)| lane.in_flight_since().is_none());
        idle.max_by_key(|(_, lane)| lane.gathered_bytes()).map(|(place, _)| place)
    }

    fn publish(&self) {
        publish(&self.ledger, self.held_bytes(), &self.durable, &self.progress);
    }

    fn has_room(&self) -> bool {
        self.held_bytes() + Copies::reserved(&self.copies) < self.buffer
    }

    fn held_bytes(&self) -> usize {
        self.lanes.iter().map(Lane::held_bytes).sum()
    }

    fn next_due(&self, traffic: &Traffic, now: Instant) -> Instant {
        let lanes = self.lanes.iter().filter_map(|lane| lane.due(now)).filter(|_| traffic.has_room());
        let quiet = [now + Duration::from_secs(60)];
        let others = traffic.next_stuck().into_iter().chain(self.read_again_at).chain(quiet);
        lanes.chain(others).min().unwrap_or(now)
    }
}

/// The time of the runtime's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
