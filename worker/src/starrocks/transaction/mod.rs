//! The transaction loader: loads the changes of all tables in steps, each one StarRocks transaction over several tables.
//!
//! ```text
//! begin ─► load, load, … ─► the checkpoint ─► commit ─► ask for the state ─┬─ committed ─► durable
//!   ▲                                                                      │
//!   └──────────── under a new label ◄──── wait ◄── rolled back ◄───────────┘
//! ```
//!
//! The answer to a commit proves nothing, because a failed commit may answer `OK`; the state of the label decides. A
//! label that StarRocks does not know is rolled back, and if the outcome is still unclear the checkpoint decides, a row
//! that the transaction itself writes. A step that was rolled back is retried under a new label, so no label is used
//! twice.
//!
//! A step larger than the buffer is sent to one transaction in parts, with no key in two of them. When a later part
//! fails, the earlier ones are no longer in memory, and the job reads again from the checkpoint.

pub(super) mod call;
mod failed;
mod sent;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::sync::{Mutex, mpsc};
use tracing::{debug, info};

use self::{
    attempt::MeasuredPart,
    call::Operation,
    failed::{Failed, from_the_start},
    sent::{LEAST_KEYS, Sent},
};
use super::{
    bookkeeping::checkpoint::Checkpoint,
    load::{
        label::Label,
        loader::{Loader, Reports},
        request::LOAD_TIMEOUT,
    },
};
use crate::{
    change::Aim,
    fault::Fault,
    pipeline::{Batch, Bulk, Doubt, Load, LoadTransaction, Loaded, Part, Piece, RecordCopy},
    schema_history::CopyState,
    table::{Table, TableName},
};

/// Time-out of a step that waits for the rest of a large source transaction.
const LONG: Duration = Duration::from_secs(3600);

/// Implements the pipeline's trait [`LoadTransaction`] for StarRocks.
#[derive(Debug)]
pub struct TransactionLoader {
    loader: Loader,
    checkpoint: Checkpoint,
    /// The open transaction, which has parts of a step and waits for more.
    open: Mutex<Option<Open>>,
    /// Most keys that are remembered for one transaction.
    most_keys: usize,
}

#[derive(Debug)]
struct Open {
    label: Label,
    tables: BTreeSet<TableName>,
    sent: Sent,
}

impl TransactionLoader {
    pub(super) fn new(loader: Loader, checkpoint: Checkpoint) -> Self {
        Self { loader, checkpoint, open: Mutex::default(), most_keys: LEAST_KEYS }
    }

    /// Sets the number of keys that are remembered, in proportion to a buffer of `bytes`.
    #[must_use]
    pub(super) fn with_buffer(self, bytes: usize) -> Self {
        Self { most_keys: sent::most_keys(bytes), ..self }
    }

    /// Sends a later part. There is one attempt, because the earlier parts are in StarRocks and no longer in memory.
    async fn go_on(&self, mut open: Open, measured: &MeasuredPart<'_>) -> Result<Option<Open>, Fault> {
        open.tables.extend(measured.tables());
        let mut reports = self.reports();
        let brought = match open.sent.note(measured.part, self.most_keys) {
            Ok(()) => self.bring(&open.label, &open.tables, LONG, measured).await,
            Err(fault) => Err(Failed::Halt(fault)),
        };
        if brought.is_ok() && measured.part.reached.is_none() {
            return Ok(Some(open));
        }
        let committed = brought.is_ok() || self.ended(&open.label, measured.part.reached, &mut reports).await;
        self.loader.journal.ended(&open.label);
        match brought {
            Err(Failed::Halt(fault)) if !committed => Err(fault),
            Err(Failed::Retryable(fault, _)) if !committed => Err(from_the_start(&fault)),
            _ => Ok(None),
        }
    }

    /// Sends the first part of a transaction: retried until it is accepted or known to be impossible.
    async fn begin(&self, measured: &MeasuredPart<'_>) -> Result<Option<Open>, Fault> {
        let (tables, mut reports) = (measured.tables().collect::<BTreeSet<_>>(), self.reports());
        let timeout = if measured.part.reached.is_some() { LOAD_TIMEOUT } else { LONG };
        let mut sent = Sent::default();
        if measured.part.reached.is_none() {
            sent.note(measured.part, self.most_keys)?;
        }
        for attempt in 1.. {
            let reached = measured.part.reached;
            let label =
                Label::of_step(&self.loader.job, self.loader.sequence.next(), reached.unwrap_or_default());
            self.loader.permitted(&label, &mut reports).await;
            let began = async {
                self.call(Operation::Begin, &label, timeout).await?;
                self.bring(&label, &tables, timeout, measured).await
            };
            let failed = match began.await {
                Ok(()) if reached.is_none() => return Ok(Some(Open { label, tables, sent })),
                Ok(()) => return Ok(self.settled(&label, &mut reports)),
                Err(failed) => failed,
            };
            if self.ended(&label, reached, &mut reports).await {
                return Ok(self.settled(&label, &mut reports));
            }
            self.loader.journal.ended(&label);
            match failed {
                Failed::Halt(fault) => return Err(fault),
                Failed::Retryable(fault, retry_class) => {
                    reports.raise(fault, label.as_str(), attempt);
                    self.loader.wait(retry_class.backoff(), attempt, label.as_str()).await;
                }
            }
        }
        Ok(None)
    }

    fn settled(&self, label: &Label, reports: &mut Reports<'_>) -> Option<Open> {
        self.loader.journal.ended(label);
        if reports.take_back() {
            info!(%label, "transaction committed after retries");
        }
        None
    }

    fn reports(&self) -> Reports<'_> {
        Reports::new(&self.loader.progress, self.checkpoint.table())
    }
}

/// Loads single batches between two steps, each by itself.
#[derive(Debug)]
pub struct BetweenSteps(pub Arc<TransactionLoader>);

impl Load for BetweenSteps {
    async fn load(&self, batch: &Batch) -> Result<Loaded, Fault> {
        self.0.loader.load(batch).await
    }

    fn takes_bulk(&self, table: &Table) -> bool {
        self.0.loader.takes_bulk(table)
    }

    async fn load_bulk(
        &self,
        table: &Arc<Table>,
        room: usize,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<Bulk, Fault> {
        self.0.loader.load_bulk(table, room, pieces).await
    }

    async fn reshape(&self, aim: &Aim) -> Result<(), Fault> {
        self.0.loader.reshape(aim).await
    }

    async fn truncate(&self, table: &Table) -> Result<(), Fault> {
        self.0.loader.truncate(table).await
    }
}

impl RecordCopy for BetweenSteps {
    async fn record_copy(&self, table: &Table, state: &CopyState) -> Result<(), Fault> {
        self.0.loader.record_copy(table, state).await
    }

    async fn record_whole(&self, table: &Table) -> Result<(), Fault> {
        self.0.loader.record_whole(table).await
    }

    async fn doubtful(&self, table: &Arc<Table>, doubt: Doubt) -> Result<Option<Batch>, Fault> {
        self.0.loader.doubtful(table, doubt).await
    }
}

impl LoadTransaction for TransactionLoader {
    async fn load(&self, part: &Part) -> Result<Vec<Loaded>, Fault> {
        let measured = self.measured(part).await?;
        let mut open = self.open.lock().await;
        *open = match open.take() {
            Some(open) => self.go_on(open, &measured).await?,
            None => self.begin(&measured).await?,
        };
        drop(open);
        let mut loaded = Vec::with_capacity(measured.bodies.len());
        for (body, batch) in measured.bodies.iter().zip(&part.batches) {
            if !body.losses().is_empty() {
                self.loader.progress.values_altered(&batch.table().name, body.losses());
            }
            debug!(table = %batch.table().name, rows = body.rows(), bytes = body.length(), "batch added to the transaction");
            loaded.push(Loaded { rows: body.rows(), bytes: body.length() });
        }
        Ok(loaded)
    }

    async fn truncate(&self, table: &Table) -> Result<(), Fault> {
        self.loader.truncate(table).await
    }

    async fn reshape(&self, aim: &Aim) -> Result<(), Fault> {
        self.loader.reshape(aim).await
    }

    async fn abandon(&self) {
        if let Some(open) = self.open.lock().await.take() {
            self.ended(&open.label, None, &mut self.reports()).await;
            self.loader.journal.ended(&open.label);
        }
    }
}

pub(crate) mod attempt;
#[cfg(test)]
mod tests;
