//! The pipeline task: takes blocks in while there is room, sends batches off, and publishes what is durable.
//!
//! One byte budget bounds what is held between socket and answer. When it is used up the pipeline stops
//! receiving, the reader stops reading, and PostgreSQL keeps the WAL. One table that keeps all others waiting falls
//! behind: it holds no more than the load that does not come to its end, and the rest is read again after that.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::sleep_until,
};
use tracing::{error, info, warn};

use super::{
    Load,
    fault::{behind, defect},
    inputs::{Inputs, Settings},
    lane::{Barrier, Lane, Transaction},
    ledger::{Ledger, Ticket},
    limits::Limits,
    load_task::{Completed, Ended, LoadTasks, run_task},
    positions::TablePositions,
    publish::publish,
    scheduler::{Traffic, in_the_way},
};
use crate::{
    change::{Aim, Block, Change, Event, ReceivedBlock, Reshape},
    fault::Fault,
    lsn::Lsn,
    progress::Progress,
    table::{Table, TableId},
};

/// A table whose load was given up to make room is tried again with what it left behind.
const UNTIL_READ_AGAIN: Duration = Duration::from_secs(300);

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
    /// The lane that is asked first for its next load.
    turn: usize,
    last_landed: Option<Instant>,
    read_again: Arc<Notify>,
    read_again_at: Option<Instant>,
    durable: watch::Sender<Lsn>,
    progress: Arc<Progress>,
}

impl<L: Load> Pipeline<L> {
    pub fn new(outset: Inputs<'_>, load: Arc<L>) -> Self {
        let Inputs { settings, tables, start, durable, progress } = outset;
        let Settings { batch, buffer, deletes, holds_wal } = settings;
        let mut limits = Limits::new(batch, buffer);
        let batch = limits.now();
        let mut ledger = Ledger::starting_at(start);
        if holds_wal {
            // Never settled, as the ticket of a table that has halted.
            ledger.open();
        }
        let lane = |table: &Table| Lane::new(Arc::new(table.clone()), deletes, batch);
        Self {
            limits,
            buffer,
            lanes: tables.iter().map(lane).collect(),
            ledger,
            transaction: Transaction { commit: start, time: SystemTime::UNIX_EPOCH },
            load,
            tasks: LoadTasks::default(),
            turn: 0,
            last_landed: None,
            read_again: Arc::default(),
            read_again_at: None,
            durable,
            progress,
        }
    }

    /// Is told when what a table left behind can be read again, by another pipeline.
    #[must_use]
    pub fn telling(self, read_again: Arc<Notify>) -> Self {
        Self { read_again, ..self }
    }

    /// Tables that have more than the others already.
    #[must_use]
    pub fn resuming(mut self, reached: &TablePositions) -> Self {
        self.lanes.iter_mut().for_each(|lane| lane.resume(reached.of(&lane.table().name)));
        self
    }

    /// These tables wait until their targets are what they have to become.
    #[must_use]
    pub fn awaiting(mut self, targets: impl IntoIterator<Item = (TableId, Arc<Aim>)>) -> Self {
        for (table, aim) in targets {
            if let Some(lane) = self.lanes.get_mut(table.0 as usize) {
                lane.push_barrier(Barrier::Reshape(aim), &mut self.ledger);
            }
        }
        self
    }

    /// These tables stand still from the start; the others flow.
    #[must_use]
    pub fn halting(mut self, tables: impl IntoIterator<Item = (TableId, Fault)>) -> Self {
        tables.into_iter().for_each(|(table, fault)| self.halt(table, fault));
        self
    }

    /// Runs until the source ends and everything it handed on is settled, but for what tables left behind; gives how
    /// far each table is then, and whether everything is durable, and not cut short. Dropping the future loses nothing:
    /// what was not durable was not confirmed.
    pub async fn run(mut self, mut blocks: mpsc::Receiver<ReceivedBlock>) -> (TablePositions, bool) {
        let mut draining = false;
        loop {
            self.make_way();
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
                block = blocks.recv(), if !draining && room => match block {
                    Some(block) => self.take(&block),
                    None => draining = true,
                },
                () = self.limits.changed() => self.limit(),
                () = sleep_until(due.into()) => {}
            }
        }
    }

    /// What a table behind still has under way is given up: its label is noted, and brought to its end before
    /// anything else is loaded.
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

    fn take(&mut self, block: &Block) {
        for event in block.events() {
            match event {
                Event::Begin { commit, time } => {
                    self.transaction = Transaction { commit, time };
                    self.ledger.begin(time);
                }
                Event::Change { table, change } => self.push(block.bytes(), table, change),
                Event::Truncate { table } => self.truncate(table),
                Event::Reshape { table, reshape } => self.reshape(table, reshape),
                Event::Commit { end } => self.ledger.commit(end),
                Event::Keepalive { lsn } => self.ledger.keepalive(lsn),
                Event::Halt { table, fault } => self.halt(table, fault.clone()),
            }
        }
        // Before the block has left the passage: who waits for room looks at both.
        self.progress.held_bytes(self.held_bytes());
    }

    fn push(&mut self, block: &Bytes, table: TableId, change: Change<'_>) {
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        if lane.is_loaded(self.transaction) {
            return self.progress.changes_settled(1);
        }
        if let Err(incomplete) = lane.push(block, change, self.transaction, &mut self.ledger) {
            let fault = incomplete.fault(&lane.table().name);
            self.halt(table, fault);
        }
    }

    fn truncate(&mut self, table: TableId) {
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        if !lane.is_loaded(self.transaction) {
            lane.push_barrier(Barrier::Truncate, &mut self.ledger);
        }
    }

    fn reshape(&mut self, table: TableId, reshape: &Reshape) {
        if let Some(lane) = self.lanes.get_mut(table.0 as usize) {
            lane.reshape(reshape, &mut self.ledger);
        }
    }

    fn halt(&mut self, table: TableId, fault: Fault) {
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        error!(table = %lane.table().name, error = %fault, "table halted");
        lane.halt_here(&mut self.ledger);
        self.progress.raise(fault);
    }

    /// Sends off tables whose load is due, as many as may be loaded at once, each in its turn. Says when to look again.
    fn next_work(&mut self, draining: bool) -> Instant {
        let (now, synced_at) = (now(), SystemTime::now());
        let mut traffic = Traffic::of(&self.lanes, now);
        let pressed = self.pressed(&traffic);
        let (count, first) = (self.lanes.len(), self.turn);
        for place in (0..count).map(|step| (first + step) % count) {
            if !traffic.has_room() {
                break;
            }
            let urgent = draining || pressed == Some(place);
            if self.depart_from(place, now, synced_at, urgent) {
                traffic.began();
                self.turn = (place + 1) % count;
            }
        }
        self.next_due(&traffic, now)
    }

    fn depart_from(&mut self, place: usize, now: Instant, synced_at: SystemTime, urgent: bool) -> bool {
        let Some(lane) = self.lanes.get_mut(place) else { return false };
        let Some(task) = lane.next_work(now, synced_at, urgent) else { return false };
        let (table, load) = (Arc::clone(lane.table()), Arc::clone(&self.load));
        self.tasks.begin(table.id, run_task(table, task, load, Arc::clone(&self.progress)));
        true
    }

    /// The table that holds most, when there is no room and nothing is on its way that would make some soon.
    fn pressed(&self, traffic: &Traffic) -> Option<usize> {
        if self.has_room() || traffic.makes_room_soon() {
            return None;
        }
        let idle = self.lanes.iter().enumerate().filter(|(_, lane)| lane.under_way_since().is_none());
        idle.max_by_key(|(_, lane)| lane.gathered_bytes()).map(|(place, _)| place)
    }

    /// Lets the others pass a table that keeps them waiting.
    fn make_way(&mut self) {
        let now = now();
        if self.read_again_at.is_some_and(|at| at <= now) {
            self.read_again_at = None;
            self.read_again.notify_one();
        }
        while !self.has_room()
            && let Some(place) = in_the_way(&self.lanes, self.buffer, self.last_landed, now)
        {
            self.fall_behind(place, now);
        }
    }

    fn fall_behind(&mut self, place: usize, now: Instant) {
        let Some(lane) = self.lanes.get_mut(place) else { return };
        let fault = behind(lane.table());
        warn!(table = %lane.table().name, held = lane.held_bytes(), "table fell behind; the others go on");
        lane.fall_behind(&mut self.ledger);
        let id = lane.table().id;
        self.progress.raise(fault);
        let kept = self.lanes.iter().filter(|lane| lane.is_behind()).map(Lane::in_flight_bytes);
        if kept.sum::<usize>() > self.buffer / 2 {
            // The others need room for more than that. It is tried again with all that it left behind.
            self.tasks.give_up(id);
            self.read_again_at.get_or_insert(now + UNTIL_READ_AGAIN);
        }
    }

    fn settle(&mut self, ended: Ended) {
        match ended {
            Ended::Completed(Completed { table, ticket, result: Ok(()) }) => self.completed(table, ticket),
            Ended::Completed(Completed { table, result: Err(fault), .. }) => self.halt_at_load(table, fault),
            Ended::Broken(table) => {
                let fault = self.lanes.get(table.0 as usize).map(|lane| defect(lane.table()));
                fault.into_iter().for_each(|fault| self.halt_at_load(table, fault));
            }
            // Its label is noted and its ticket open: nothing is confirmed past it.
            Ended::GivenUp(table) => {
                self.lanes.get_mut(table.0 as usize).into_iter().for_each(Lane::completed)
            }
        }
    }

    fn completed(&mut self, table: TableId, ticket: Ticket) {
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        lane.completed();
        self.last_landed = Some(now());
        self.ledger.settle(ticket);
        if lane.is_behind() {
            info!(table = %lane.table().name, "table can be loaded again; what it left behind is read again");
            self.read_again.notify_one();
        }
    }

    /// The ticket stays open: nothing is confirmed past it.
    fn halt_at_load(&mut self, table: TableId, fault: Fault) {
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        error!(table = %lane.table().name, error = %fault, "table halted");
        lane.completed();
        lane.halt_at_load();
        self.progress.raise(fault);
    }

    fn publish(&self) {
        publish(&self.ledger, self.held_bytes(), &self.durable, &self.progress);
    }

    fn has_room(&self) -> bool {
        self.held_bytes() < self.buffer
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

/// By the runtime's clock.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
