//! Assembles events into the steps that the sink takes, one after the other.
//!
//! Pure.
//!
//! ```text
//! current ──commit──► whole ──┬─► a step with the position that it reaches
//!    │                        └── can be closed at any moment
//!    └── larger than the buffer ──► a step without a position; the rest of the transaction follows
//! ```

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;

use super::{
    super::{
        barrier::{AskBarrier, Placed, Routed},
        batch::Deletes,
        fault::{cut_in_two, emptied_too_late},
        lane::Transaction,
        ledger::{Ledger, Ticket},
    },
    gathered::Gathered,
    step::Step,
};
use crate::{
    change::{Block, Change, Event, Reshape},
    fault::Fault,
    lsn::Lsn,
    table::{Table, TableId},
};

#[derive(Debug)]
pub(super) struct Assembly {
    deletes: Deletes,
    tables: Vec<Arc<Table>>,
    pub(super) ledger: Ledger,
    transaction: Transaction,
    /// Transactions that commit before this position are already in the sink.
    reached: Lsn,
    /// The source's transaction that is being received.
    current: Option<Gathered>,
    /// Set once parts of the current transaction are in the sink's open transaction.
    spilled: Option<Spilled>,
    /// Transactions of the source that were received completely.
    whole: Option<Gathered>,
    waiting: VecDeque<Step>,
    /// Number of changes that need no load.
    void: u64,
}

#[derive(Debug)]
struct Spilled {
    ticket: Ticket,
    tables: HashSet<TableId>,
}

impl Assembly {
    /// `tables` in the order of their ids; everything before `start` is in the sink.
    pub(super) fn new(tables: &[Table], deletes: Deletes, start: Lsn) -> Self {
        Self {
            deletes,
            tables: tables.iter().map(|table| Arc::new(table.clone())).collect(),
            ledger: Ledger::starting_at(start),
            transaction: Transaction { commit: start, time: SystemTime::UNIX_EPOCH, xid: 0 },
            reached: start,
            current: None,
            spilled: None,
            whole: None,
            waiting: VecDeque::new(),
            void: 0,
        }
    }

    /// Transactions are recorded in `routed` as they begin.
    pub(super) fn take(&mut self, block: &Block, routed: Option<&Routed>) -> Result<(), Fault> {
        for event in block.events() {
            match event {
                Event::Begin { commit, time, xid } => {
                    routed.into_iter().for_each(|routed| routed.begin(xid));
                    self.begin(Transaction { commit, time, xid })?;
                }
                Event::Change { table, change } => self.push(block.bytes(), table, change)?,
                Event::Truncate { table } => self.truncate(table)?,
                Event::Reshape { table, reshape } => self.reshape(table, reshape),
                Event::Commit { end } => self.commit(end)?,
                Event::Keepalive { lsn } => self.ledger.keepalive(lsn),
                Event::Halt { fault, .. } => return Err(fault.clone()),
            }
        }
        Ok(())
    }

    /// Whether no transaction of the sink is open, so that a barrier can be placed.
    pub(super) fn is_between_steps(&self) -> bool {
        self.spilled.is_none()
    }

    /// Places a barrier behind everything that was received in whole transactions. What was received of the current one
    /// is loaded after it.
    pub(super) fn place(&mut self, ask: AskBarrier, routed: &Routed) {
        let Some(rows) = self.tables.get(ask.table.0 as usize).cloned() else { return };
        self.close_whole();
        self.waiting.push_back(Step::Stand(Placed {
            rows,
            version: self.transaction.commit.max(self.ledger.received()),
            received: self.ledger.received(),
            routed: routed.now(),
            reached: ask.reached,
        }));
    }

    /// A transaction that a lost connection interrupted is sent again from its start.
    fn begin(&mut self, transaction: Transaction) -> Result<(), Fault> {
        if self.spilled.is_some() {
            return Err(cut_in_two());
        }
        self.forget_current();
        self.transaction = transaction;
        self.ledger.begin(transaction.time);
        Ok(())
    }

    fn push(&mut self, block: &Bytes, table: TableId, change: Change<'_>) -> Result<(), Fault> {
        let Some(table) = self.tables.get(table.0 as usize).cloned() else { return Ok(()) };
        if self.is_loaded() {
            self.void += 1;
            return Ok(());
        }
        let (deletes, transaction) = (self.deletes, self.transaction);
        self.current().push(block, &table, deletes, change, transaction)
    }

    /// Discards the earlier changes of the transaction to the table.
    fn truncate(&mut self, table: TableId) -> Result<(), Fault> {
        let Some(table) = self.tables.get(table.0 as usize).cloned() else { return Ok(()) };
        if self.is_loaded() {
            return Ok(());
        }
        if self.spilled.as_ref().is_some_and(|spilled| spilled.tables.contains(&table.id)) {
            return Err(emptied_too_late(&table));
        }
        self.void += self.current().empty(table);
        Ok(())
    }

    fn is_loaded(&self) -> bool {
        self.transaction.commit < self.reached
    }

    /// Rows of two shapes are never in one step, and no step is open while a target changes. So a transaction that has
    /// already written to the table is split here, and becomes visible in two steps.
    fn reshape(&mut self, table: TableId, reshape: &Reshape) {
        let Some(known) = self.tables.get_mut(table.0 as usize) else { return };
        *known = Arc::clone(&reshape.rows);
        let holds =
            |gathered: &Option<Gathered>| gathered.as_ref().is_some_and(|gathered| gathered.holds(table));
        if reshape.target.is_some() || holds(&self.whole) || holds(&self.current) {
            self.close_whole();
        }
        let went_ahead = |spilled: &Spilled| reshape.target.is_some() || spilled.tables.contains(&table);
        if holds(&self.current) || self.spilled.as_ref().is_some_and(went_ahead) {
            self.cut();
        }
        self.waiting.extend(reshape.target.clone().map(Step::Reshape));
    }

    /// Closes the received part of the transaction as a step of its own; the position stays before the transaction.
    fn cut(&mut self) {
        let (current, spilled) = (self.current.take(), self.spilled.take());
        let time = self.transaction.time;
        let gathered = current.or_else(|| spilled.map(|spilled| Gathered::new(spilled.ticket, time)));
        if let Some(gathered) = gathered {
            let reached = self.ledger.received();
            self.close(gathered, Some(reached));
        }
    }

    fn current(&mut self) -> &mut Gathered {
        let (ledger, spilled, time) = (&mut self.ledger, &self.spilled, self.transaction.time);
        self.current.get_or_insert_with(|| {
            let ticket = spilled.as_ref().map_or_else(|| ledger.open(), |spilled| spilled.ticket);
            Gathered::new(ticket, time)
        })
    }

    fn commit(&mut self, end: Lsn) -> Result<(), Fault> {
        let current = self.current.take();
        let (spilled, time) = (self.spilled.take(), self.transaction.time);
        let empties = current.as_ref().is_some_and(|current| !current.emptied.is_empty());
        if empties {
            self.close_whole();
        }
        self.ledger.commit(end);
        match (current, spilled) {
            (None, None) => {}
            (None, Some(Spilled { ticket, .. })) => self.close(Gathered::new(ticket, time), Some(end)),
            (Some(current), Some(_)) => self.close(current, Some(end)),
            (Some(current), None) if empties => self.close(current, Some(end)),
            (Some(current), None) => self.join(current)?,
        }
        Ok(())
    }

    /// Adds the transaction to the whole ones before it.
    fn join(&mut self, current: Gathered) -> Result<(), Fault> {
        let Some(mut whole) = self.whole.take() else {
            self.whole = Some(current);
            return Ok(());
        };
        self.ledger.settle(whole.absorb(current)?);
        self.whole = Some(whole);
        Ok(())
    }

    /// Discards the incomplete current transaction: the rest of it does not come in this stream.
    pub(super) fn forget_current(&mut self) {
        if let Some(current) = self.current.take() {
            self.void += current.changes();
            if self.spilled.is_none() {
                self.ledger.settle(current.ticket);
            }
        }
    }

    /// Queues the whole transactions as a step.
    pub(super) fn close_whole(&mut self) {
        if let Some(whole) = self.whole.take() {
            let reached = self.ledger.received();
            self.close(whole, Some(reached));
        }
    }

    /// The current transaction is larger than the buffer: queues a part of it, which is not to become visible yet.
    pub(super) fn spill(&mut self) {
        let Some(gathered) = self.current.take() else { return };
        let new = || Spilled { ticket: gathered.ticket, tables: HashSet::new() };
        self.spilled.get_or_insert_with(new).tables.extend(gathered.tables());
        self.close(gathered, None);
    }

    fn close(&mut self, mut gathered: Gathered, reached: Option<Lsn>) {
        self.waiting.extend(std::mem::take(&mut gathered.emptied).into_iter().map(Step::Empty));
        self.waiting.push_back(Step::Load { gathered, reached });
    }

    pub(super) fn next_step(&mut self) -> Option<Step> {
        self.waiting.pop_front()
    }

    pub(super) fn has_step(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The whole transactions that are not queued yet.
    pub(super) fn whole(&self) -> Option<&Gathered> {
        self.whole.as_ref()
    }

    pub(super) fn held_bytes(&self) -> usize {
        let gathered = self.whole.iter().chain(&self.current).map(Gathered::held_bytes);
        gathered.chain(self.waiting.iter().map(Step::held_bytes)).sum()
    }

    /// The number of changes since the last call that need no load: they were sent again, or their table was emptied.
    pub(super) fn take_void(&mut self) -> u64 {
        std::mem::take(&mut self.void)
    }
}
