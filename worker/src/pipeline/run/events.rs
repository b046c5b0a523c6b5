//! Gives the events of a block to the lanes of their tables, and to the ledger.

use std::sync::Arc;

use bytes::Bytes;
use tracing::error;

use super::Pipeline;
use crate::{
    change::{Block, Change, Event, Reshape},
    fault::Fault,
    pipeline::{
        Load,
        barrier::{AskBarrier, Placed},
        lane::{Barrier, Transaction},
    },
    table::TableId,
};

impl<L: Load> Pipeline<L> {
    pub(super) fn take(&mut self, block: &Block) {
        for event in block.events() {
            match event {
                Event::Begin { commit, time, xid } => {
                    if let Some(copies) = &self.copies {
                        copies.routed.begin(xid);
                    }
                    self.transaction = Transaction { commit, time, xid };
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
        // Before the block leaves the channel: the reader's admission check reads both.
        self.progress.held_bytes(self.held_bytes());
    }

    /// Places a barrier for the task that copies rows.
    pub(super) fn place(&mut self, ask: AskBarrier) {
        let (Some(copies), Some(lane)) = (&self.copies, self.lanes.get_mut(ask.table.0 as usize)) else {
            return;
        };
        let placed = Placed {
            rows: Arc::clone(lane.table()),
            version: self.transaction.commit.max(self.ledger.received()),
            received: self.ledger.received(),
            routed: copies.routed.now(),
            reached: ask.reached,
        };
        lane.push_stand(placed, &mut self.ledger);
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

    pub(super) fn halt(&mut self, table: TableId, fault: Fault) {
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        error!(table = %lane.table().name, error = %fault, "table halted");
        lane.halt_here(&mut self.ledger);
        self.progress.raise(fault);
    }
}
