//! The pipeline task: takes blocks in while there is room, sends batches off, and publishes what is durable.
//!
//! One byte budget bounds what is held between socket and answer. When it is used up the pipeline stops
//! receiving, the reader stops reading, and PostgreSQL keeps the WAL.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::sleep_until,
};
use tracing::error;

use super::{
    Load,
    flight::{Landed, fly},
    lane::{Barrier, Lane, Transaction},
    ledger::Ledger,
    limits::Limits,
    outset::{Outset, Settings},
    publish::publish,
};
use crate::{
    change::{Block, Change, Event, Passing, Reshape},
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
    landing: JoinSet<Landed>,
    durable: watch::Sender<Lsn>,
    progress: Arc<Progress>,
}

impl<L: Load> Pipeline<L> {
    pub fn new(outset: Outset<'_>, load: Arc<L>) -> Self {
        let Outset { settings, tables, start, durable, progress } = outset;
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
            landing: JoinSet::new(),
            durable,
            progress,
        }
    }

    /// These tables stand still from the start; the others flow.
    #[must_use]
    pub fn halting(mut self, tables: impl IntoIterator<Item = (TableId, Fault)>) -> Self {
        tables.into_iter().for_each(|(table, fault)| self.halt(table, fault));
        self
    }

    /// Runs until the source ends and everything it handed on is settled. Dropping the future loses
    /// nothing: what was not durable was not confirmed.
    pub async fn run(mut self, mut blocks: mpsc::Receiver<Passing>) {
        let mut draining = false;
        loop {
            self.depart(draining);
            self.publish();
            if draining && self.lanes.iter().all(Lane::is_empty) {
                return;
            }
            let (due, room) = (self.next_due(), self.has_room());
            tokio::select! {
                biased; // make room first, then take more
                Some(landed) = self.landing.join_next() => self.settle(landed),
                block = blocks.recv(), if !draining && room => match block {
                    Some(block) => self.take(&block),
                    None => draining = true,
                },
                () = self.limits.changed() => self.limit(),
                () = sleep_until(due.into()) => {}
            }
        }
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
                Event::Change { table, change } => self.push(table, change),
                Event::Truncate { table } => self.barrier(table, Barrier::Truncate),
                Event::Reshape { table, reshape } => self.reshape(table, reshape),
                Event::Commit { end } => self.ledger.commit(end),
                Event::Keepalive { lsn } => self.ledger.keepalive(lsn),
                Event::Halt { table, fault } => self.halt(table, fault.clone()),
            }
        }
    }

    fn push(&mut self, table: TableId, change: Change<'_>) {
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        if let Err(incomplete) = lane.push(change, self.transaction, &mut self.ledger) {
            let fault = incomplete.fault(&lane.table().name);
            self.halt(table, fault);
        }
    }

    fn barrier(&mut self, table: TableId, barrier: Barrier) {
        if let Some(lane) = self.lanes.get_mut(table.0 as usize) {
            lane.push_barrier(barrier, &mut self.ledger);
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

    /// Sends off every table whose load is due.
    fn depart(&mut self, draining: bool) {
        let (now, synced_at) = (Instant::now(), SystemTime::now());
        let pressed = self.pressed();
        for (place, lane) in self.lanes.iter_mut().enumerate() {
            let urgent = draining || pressed == Some(place);
            if let Some(flight) = lane.depart(now, synced_at, urgent) {
                let (table, load) = (Arc::clone(lane.table()), Arc::clone(&self.load));
                self.landing.spawn(fly(table, flight, load, Arc::clone(&self.progress)));
            }
        }
    }

    /// The table that holds most, when there is no room and nothing is on its way that would make some.
    fn pressed(&self) -> Option<usize> {
        if self.has_room() || !self.landing.is_empty() {
            return None;
        }
        let sizes = self.lanes.iter().map(Lane::gathered_bytes).enumerate();
        sizes.max_by_key(|(_, bytes)| *bytes).map(|(place, _)| place)
    }

    fn settle(&mut self, landed: Result<Landed, JoinError>) {
        // A load that panicked leaves its ticket open and its table in flight: nothing is confirmed past it.
        let Landed { table, ticket, result } = match landed {
            Ok(landed) => landed,
            Err(cause) => return error!(error = %cause, "a load ended by a defect; the table stands still"),
        };
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        lane.landed();
        match result {
            Ok(()) => self.ledger.settle(ticket),
            Err(fault) => {
                error!(table = %lane.table().name, error = %fault, "table halted");
                lane.halt_at_load();
                self.progress.raise(fault);
            }
        }
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

    fn next_due(&self) -> Instant {
        let now = Instant::now();
        let quiet = now + Duration::from_secs(60);
        self.lanes.iter().filter_map(|lane| lane.due(now)).min().unwrap_or(quiet)
    }
}
