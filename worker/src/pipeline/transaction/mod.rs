//! The pipeline task for consistency Transaction: all tables are loaded in one StarRocks transaction (a step), which
//! begins and ends between two transactions of the source, so that readers of the sink never see half of one.
//!
//! ```text
//! current ──commit──► whole ──due──► part ═► the sink's transaction, committed with the position reached
//!    └──── larger than the buffer ──► part ═► the same transaction, left open until the commit has come
//! ```
//!
//! One step at a time; `assembly` decides which. A change that cannot be loaded ends the session, because the rest of
//! its transaction cannot be loaded either; the next session begins at the position that was reached.

mod assembly;
mod gathered;
mod step;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::sleep_until,
};
use tracing::error;

use self::{assembly::Assembly, step::Step};
use super::{
    LoadTransaction,
    barrier::Copies,
    fault::transaction_defect,
    inputs::{Inputs, Limits, Settings},
    ledger::Ticket,
    positions::publish,
};
use crate::{change::ReceivedBlock, config::BatchConfig, fault::Fault, lsn::Lsn, progress::Progress};

/// One job's pipeline, from blocks to the durable position, for all tables in one transaction.
#[derive(Debug)]
pub struct TransactionPipeline<L> {
    buffer: usize,
    limits: Limits,
    batch: BatchConfig,
    assembly: Assembly,
    in_flight: Option<usize>,
    last_began: Option<Instant>,
    load: Arc<L>,
    /// The step in flight; gives the ticket of what is durable after it.
    task: JoinSet<Result<Option<Ticket>, Fault>>,
    durable: watch::Sender<Lsn>,
    progress: Arc<Progress>,
    /// None where no table is copied.
    copies: Option<Copies>,
}

impl<L: LoadTransaction> TransactionPipeline<L> {
    pub fn new(inputs: Inputs<'_>, load: Arc<L>) -> Self {
        let Inputs { settings, tables, start, durable, progress } = inputs;
        let Settings { batch, buffer, deletes, holds_wal: _ } = settings;
        let mut limits = Limits::new(batch, buffer);
        Self {
            buffer,
            batch: limits.now(),
            limits,
            assembly: Assembly::new(tables, deletes, start),
            in_flight: None,
            last_began: None,
            load,
            task: JoinSet::new(),
            durable,
            progress,
            copies: None,
        }
    }

    /// Serves a task that copies rows.
    #[must_use]
    pub fn beside(self, copies: Option<Copies>) -> Self {
        Self { copies, ..self }
    }

    /// Runs until the blocks end and every whole transaction is durable, or until something cannot be loaded. Dropping
    /// the future loses nothing: what was not durable was not confirmed.
    pub async fn run(mut self, mut blocks: mpsc::Receiver<ReceivedBlock>) -> Result<(), Fault> {
        let mut ending = None;
        loop {
            self.next_work(ending.is_some());
            self.publish();
            if self.is_empty()
                && let Some(ended) = ending.take()
            {
                self.load.abandon().await;
                return ended;
            }
            let (due, room) = (self.next_due(), self.has_room());
            tokio::select! {
                biased; // make room first, then take more
                Some(completed) = self.task.join_next() => self.settle(completed)?,
                ask = Copies::next(&mut self.copies), if ending.is_none() && self.assembly.is_between_steps() => {
                    match (ask, &self.copies) {
                        (Some(ask), Some(copies)) => self.assembly.place(ask, &copies.routed),
                        _ => self.copies = None, // every copy has ended
                    }
                }
                block = blocks.recv(), if ending.is_none() && room => match block {
                    Some(block) => {
                        let routed = self.copies.as_ref().map(|copies| &*copies.routed);
                        ending = self.assembly.take(&block, routed).err().map(Err);
                    }
                    None => ending = Some(Ok(())),
                },
                () = self.limits.changed() => self.batch = self.limits.now(),
                () = sleep_until(due.into()) => {}
            }
            if ending.is_some() {
                // The rest of the current transaction does not come in this stream.
                self.assembly.forget_current();
            }
        }
    }

    /// Begins the step that is due, unless one is in flight.
    fn next_work(&mut self, ending: bool) {
        if self.in_flight.is_some() {
            return;
        }
        let now = Instant::now();
        if !self.assembly.has_step() && (ending || self.is_due(now)) {
            self.assembly.close_whole();
        }
        if !self.assembly.has_step() && !self.has_room() {
            self.assembly.spill();
        }
        let Some(step) = self.assembly.next_step() else { return };
        self.in_flight = Some(step.held_bytes());
        if matches!(step, Step::Load { .. }) {
            self.last_began = Some(now);
        }
        self.task.spawn(step.run(Arc::clone(&self.load), Arc::clone(&self.progress)));
    }

    fn is_due(&self, now: Instant) -> bool {
        let Some(whole) = self.assembly.whole() else { return false };
        let full = whole.held_bytes() >= self.batch.max_bytes || whole.most_rows() >= self.batch.max_rows;
        full || !self.has_room() || self.after_the_last().is_none_or(|due| due <= now)
    }

    fn settle(&mut self, completed: Result<Result<Option<Ticket>, Fault>, JoinError>) -> Result<(), Fault> {
        self.in_flight = None;
        let completed = completed.unwrap_or_else(|cause| {
            error!(error = %cause, "a load ended with a panic; starting a new session");
            Err(transaction_defect())
        });
        if let Some(ticket) = completed? {
            self.assembly.ledger.settle(ticket);
        }
        Ok(())
    }

    fn publish(&mut self) {
        self.progress.changes_settled(self.assembly.take_void());
        publish(&self.assembly.ledger, self.held_bytes(), &self.durable, &self.progress);
    }

    fn is_empty(&self) -> bool {
        self.in_flight.is_none() && !self.assembly.has_step() && self.assembly.whole().is_none()
    }

    fn has_room(&self) -> bool {
        self.held_bytes() + Copies::reserved(&self.copies) < self.buffer
    }

    fn held_bytes(&self) -> usize {
        self.assembly.held_bytes() + self.in_flight.unwrap_or_default()
    }

    fn after_the_last(&self) -> Option<Instant> {
        self.last_began.map(|began| began + self.batch.min_interval)
    }

    fn next_due(&self) -> Instant {
        let quiet = Instant::now() + Duration::from_secs(60);
        let waits = self.assembly.whole().is_some() && self.in_flight.is_none();
        self.after_the_last().filter(|_| waits).unwrap_or(quiet)
    }
}

#[cfg(test)]
mod tests;
