//! What follows from the end of a task: its ticket is settled, or its table is halted.

use tracing::{error, info};

use super::{Pipeline, now};
use crate::{
    fault::Fault,
    pipeline::{
        Load,
        fault::defect,
        lane::Lane,
        ledger::Ticket,
        load_task::{Completed, Ended},
    },
    table::TableId,
};

impl<L: Load> Pipeline<L> {
    pub(super) fn settle(&mut self, ended: Ended) {
        match ended {
            Ended::Completed(Completed { table, ticket, result: Ok(()) }) => self.completed(table, ticket),
            Ended::Completed(Completed { table, result: Err(fault), .. }) => self.halt_at_load(table, fault),
            Ended::Broken(table) => {
                let fault = self.lanes.get(table.0 as usize).map(|lane| defect(lane.table()));
                fault.into_iter().for_each(|fault| self.halt_at_load(table, fault));
            }
            // The label is recorded and the ticket stays open: nothing is confirmed past it.
            Ended::GivenUp(table) => {
                self.lanes.get_mut(table.0 as usize).into_iter().for_each(Lane::completed)
            }
        }
    }

    fn completed(&mut self, table: TableId, ticket: Ticket) {
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        lane.completed();
        self.last_completed = Some(now());
        self.ledger.settle(ticket);
        if lane.is_behind() {
            info!(table = %lane.table().name, "table is no longer behind; reading its skipped changes again from the WAL");
            self.read_again.notify_one();
        }
    }

    /// The ticket stays open: nothing is confirmed past it. That of a barrier holds no position, so another one is opened:
    /// from here on the table's changes are not taken.
    fn halt_at_load(&mut self, table: TableId, fault: Fault) {
        let Some(lane) = self.lanes.get_mut(table.0 as usize) else { return };
        error!(table = %lane.table().name, error = %fault, "table halted");
        lane.completed();
        lane.halt_at_load();
        self.ledger.open();
        self.progress.raise(fault);
    }
}
