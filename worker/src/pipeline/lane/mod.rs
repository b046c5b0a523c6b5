//! A table's ordered queue: an open accumulation, closed steps, and at most one task in flight.
//!
//! Pure; the clock is passed in. Loads of one table follow each other, so a late load can never
//! overwrite the rows of a newer one.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;

use super::{
    barrier::Placed,
    batch::{Accumulation, Batch, Deletes, IncompleteKeyChange},
    ledger::{Ledger, Ticket},
};
use crate::{
    change::{Aim, Change, Reshape},
    config::BatchConfig,
    lsn::Lsn,
    table::Table,
};

#[derive(Debug)]
pub(super) struct Lane {
    table: Arc<Table>,
    deletes: Deletes,
    limits: BatchConfig,
    gathering: Option<Gathering>,
    waiting: VecDeque<Step>,
    in_flight: Option<InFlight>,
    last_began: Option<Instant>,
    halted: bool,
    /// Halted only until its task ends: the changes that it skips are read again after that.
    behind: bool,
    /// Everything that the source committed before this position is in the target.
    reached: Lsn,
    /// The transaction of the last change.
    last: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    bytes: usize,
    since: Instant,
}

#[derive(Debug)]
struct Gathering {
    changes: Accumulation,
    ticket: Ticket,
    oldest_commit: SystemTime,
}

/// One step in the queue of a lane.
#[derive(Debug)]
enum Step {
    Load(Box<Gathering>),
    /// Begins when everything before it is durable; nothing after it begins before it is complete.
    Barrier(Barrier, Ticket),
    /// As a barrier; another task works on the target meanwhile.
    Stand(Placed, Ticket),
}

/// A change of a table as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Barrier {
    Truncate,
    /// The target gets the columns that its next rows need.
    Reshape(Arc<Aim>),
}

/// One unit of work of a table, in flight until its ticket is settled.
#[derive(Debug)]
pub(super) struct LoadTask {
    pub(super) work: Work,
    pub(super) ticket: Ticket,
}

#[derive(Debug)]
pub(super) enum Work {
    /// Batches of one accumulation, to be loaded one after the other.
    Batches {
        batches: Vec<Batch>,
        changes: u64,
        oldest_commit: SystemTime,
    },
    Barrier(Barrier),
    Stand(Placed),
}

/// The transaction that a change belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transaction {
    pub(super) commit: Lsn,
    pub(super) time: SystemTime,
    pub(super) xid: u32,
}

impl Lane {
    pub(super) fn new(table: Arc<Table>, deletes: Deletes, limits: BatchConfig) -> Self {
        let waiting = VecDeque::new();
        Self {
            table,
            deletes,
            limits,
            gathering: None,
            waiting,
            in_flight: None,
            last_began: None,
            halted: false,
            behind: false,
            reached: Lsn::default(),
            last: None,
        }
    }

    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Sets the limits of batches from now on.
    pub(super) fn limit(&mut self, limits: BatchConfig) {
        self.limits = limits;
    }

    /// Adds the table's next change. A halted table takes none: PostgreSQL keeps its WAL.
    pub(super) fn push(
        &mut self,
        block: &Bytes,
        change: Change<'_>,
        transaction: Transaction,
        ledger: &mut Ledger,
    ) -> Result<(), IncompleteKeyChange> {
        if self.halted {
            return Ok(());
        }
        let continued = self.last.replace(transaction.xid).filter(|last| *last == transaction.xid);
        let gathering = self.gathering.get_or_insert_with(|| Gathering {
            changes: Accumulation::new(Arc::clone(&self.table), self.deletes).continuing(continued),
            ticket: ledger.open(),
            oldest_commit: transaction.time,
        });
        gathering.changes.begin(transaction.xid);
        gathering.changes.push_from(block, change, transaction.commit)?;
        if is_full(&gathering.changes, &self.limits) {
            self.close_gathering();
        }
        Ok(())
    }

    /// Adds a change of the table as a whole.
    pub(super) fn push_barrier(&mut self, barrier: Barrier, ledger: &mut Ledger) {
        if !self.halted {
            self.close_gathering();
            self.waiting.push_back(Step::Barrier(barrier, ledger.open()));
        }
    }

    /// Adds a barrier for another task. A halted table takes none.
    pub(super) fn push_stand(&mut self, placed: Placed, ledger: &mut Ledger) {
        if !self.halted {
            self.close_gathering();
            self.waiting.push_back(Step::Stand(placed, ledger.open_aside()));
        }
    }

    /// Later rows have other columns: closes the accumulation, and changes the target if that is needed.
    pub(super) fn reshape(&mut self, reshape: &Reshape, ledger: &mut Ledger) {
        if self.halted {
            return;
        }
        self.close_gathering();
        self.table = Arc::clone(&reshape.rows);
        if let Some(aim) = &reshape.target {
            self.push_barrier(Barrier::Reshape(Arc::clone(aim)), ledger);
        }
    }

    fn close_gathering(&mut self) {
        self.waiting.extend(self.gathering.take().map(|gathering| Step::Load(Box::new(gathering))));
    }

    /// Halts at this point of the stream: earlier changes are still loaded, later ones are not taken, and the ledger
    /// holds the position until a person acts.
    pub(super) fn halt_here(&mut self, ledger: &mut Ledger) {
        if !std::mem::replace(&mut self.halted, true) {
            ledger.open();
        }
    }

    /// Halts at a load that can never succeed; its ticket is never settled.
    pub(super) fn halt_at_load(&mut self) {
        (self.halted, self.behind) = (true, false);
        self.discard_gathered();
    }

    /// Discards what gathers and waits, and takes no more, so that other tables have room. The ledger holds the
    /// position, and the task in flight continues; when it has ended, the discarded changes are read again.
    pub(super) fn fall_behind(&mut self, ledger: &mut Ledger) {
        self.halt_here(ledger);
        self.behind = true;
        self.discard_gathered();
    }

    fn discard_gathered(&mut self) {
        self.gathering = None;
        self.waiting.clear();
    }

    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether the table takes changes: it is neither halted nor behind.
    pub(super) fn flows(&self) -> bool {
        !self.halted
    }

    /// Everything that the source committed before the returned position is in the target, given that the lane is
    /// empty and everything before `received` was received.
    pub(super) fn reached(&self, received: Lsn) -> Lsn {
        if self.halted { self.reached } else { self.reached.max(received) }
    }

    /// The target already has everything that the source committed before this position.
    pub(super) fn resume(&mut self, reached: Lsn) {
        self.reached = self.reached.max(reached);
    }

    /// Whether the target already has the changes of a transaction.
    pub(super) fn is_loaded(&self, transaction: Transaction) -> bool {
        transaction.commit < self.reached
    }

    /// Since when a task has been in flight.
    pub(super) fn in_flight_since(&self) -> Option<Instant> {
        self.in_flight.map(|task| task.since)
    }

    /// Bytes of the task in flight.
    pub(super) fn in_flight_bytes(&self) -> usize {
        self.in_flight.map_or(0, |task| task.bytes)
    }

    /// The task to begin now, if any. `urgent` ignores the interval between loads.
    pub(super) fn next_work(
        &mut self,
        now: Instant,
        synced_at: SystemTime,
        urgent: bool,
    ) -> Option<LoadTask> {
        if self.in_flight.is_some() {
            return None;
        }
        let step = match self.waiting.pop_front() {
            Some(next) => next,
            None if urgent || self.due(now)? <= now => Step::Load(Box::new(self.gathering.take()?)),
            None => return None,
        };
        self.in_flight = Some(InFlight { bytes: step.held_bytes(), since: now });
        if matches!(step, Step::Load(_)) {
            self.last_began = Some(now);
        }
        Some(step.close(synced_at))
    }

    /// When the next load may begin; `None` when there is nothing to load or a task is in flight.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let idle = self.in_flight.is_none() && (self.gathering.is_some() || !self.waiting.is_empty());
        idle.then(|| self.last_began.map_or(now, |began| began + self.limits.min_interval))
    }

    /// The task in flight has ended.
    pub(super) fn completed(&mut self) {
        self.in_flight = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gathering.is_none() && self.waiting.is_empty() && self.in_flight.is_none()
    }

    /// Bytes that gather or wait, without those in flight.
    pub(super) fn gathered_bytes(&self) -> usize {
        let gathering = self.gathering.as_ref().map_or(0, |gathering| gathering.changes.held_bytes());
        gathering + self.waiting.iter().map(Step::held_bytes).sum::<usize>()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.gathered_bytes() + self.in_flight_bytes()
    }
}

impl Step {
    fn held_bytes(&self) -> usize {
        match self {
            Self::Load(gathering) => gathering.changes.held_bytes(),
            Self::Barrier(..) | Self::Stand(..) => 0,
        }
    }

    fn close(self, synced_at: SystemTime) -> LoadTask {
        match self {
            Self::Load(gathering) => {
                let Gathering { changes: gathered, ticket, oldest_commit } = *gathering;
                let changes = gathered.changes();
                let batches = gathered.close(synced_at);
                LoadTask { work: Work::Batches { batches, changes, oldest_commit }, ticket }
            }
            Self::Barrier(barrier, ticket) => LoadTask { work: Work::Barrier(barrier), ticket },
            Self::Stand(placed, ticket) => LoadTask { work: Work::Stand(placed), ticket },
        }
    }
}

fn is_full(changes: &Accumulation, limits: &BatchConfig) -> bool {
    changes.rows() >= limits.max_rows || changes.held_bytes() >= limits.max_bytes
}

#[cfg(test)]
mod tests;
