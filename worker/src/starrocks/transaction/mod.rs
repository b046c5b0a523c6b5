//! Brings all tables into StarRocks in one step: one transaction over several tables.
//!
//! ```text
//! begin ─► load, load, … ─► the checkpoint ─► commit ─► ask for the state ─┬─ committed ─► durable
//!   ▲                                                                      │
//!   └──────────── under another label ◄── wait ◄── rolled back ◄───────────┘
//! ```
//!
//! The answer to a commit is never believed: a commit that fails may say `OK`, so the label is asked. A label that
//! nobody knows is rolled back, and where even that leaves a doubt the checkpoint tells: it is a row that the
//! transaction itself wrote. What was rolled back is tried again under another label, so no label is used twice.
//!
//! A step that is larger than the buffer comes in parts into one transaction, no key in two of them. Its first parts
//! are gone from memory when a later one fails; then the job begins again from the checkpoint.

pub(super) mod call;
mod failed;
mod sent;

use std::{collections::BTreeSet, time::Duration};

use tokio::sync::Mutex;
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
        backoff::Backoff,
        label::Label,
        loader::{Loader, Reports},
        request::LOAD_TIMEOUT,
    },
};
use crate::{
    change::Aim,
    fault::Fault,
    pipeline::{Load, LoadTransaction, Loaded, Part},
    table::{Table, TableName},
};

/// For a step that waits for the rest of a large transaction of the source.
const LONG: Duration = Duration::from_secs(3600);

/// StarRocks, as the pipeline of all tables together sees it.
#[derive(Debug)]
pub struct TransactionLoader {
    loader: Loader,
    checkpoint: Checkpoint,
    /// The transaction that has parts of a step and waits for more.
    open: Mutex<Option<Open>>,
    /// As many are remembered of one transaction.
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

    /// With a buffer of so many bytes it remembers keys in a part of as many.
    #[must_use]
    pub(super) fn with_buffer(self, bytes: usize) -> Self {
        Self { most_keys: sent::most_keys(bytes), ..self }
    }

    /// A part whose predecessors are in StarRocks and nowhere else: there is one attempt.
    async fn go_on(&self, mut open: Open, cargo: &MeasuredPart<'_>) -> Result<Option<Open>, Fault> {
        open.tables.extend(cargo.tables());
        let mut reports = self.reports();
        let brought = match open.sent.note(cargo.part, self.most_keys) {
            Ok(()) => self.bring(&open.label, &open.tables, LONG, cargo).await,
            Err(fault) => Err(Failed::Halt(fault)),
        };
        if brought.is_ok() && cargo.part.reached.is_none() {
            return Ok(Some(open));
        }
        let committed = brought.is_ok() || self.ended(&open.label, cargo.part.reached, &mut reports).await;
        self.loader.journal.ended(&open.label);
        match brought {
            Err(Failed::Halt(fault)) if !committed => Err(fault),
            Err(Failed::Retryable(fault, _)) if !committed => Err(from_the_start(&fault)),
            _ => Ok(None),
        }
    }

    /// A part with which a transaction begins: tried until it is taken, or until that is known to be impossible.
    async fn begin(&self, cargo: &MeasuredPart<'_>) -> Result<Option<Open>, Fault> {
        let (tables, mut reports) = (cargo.tables().collect::<BTreeSet<_>>(), self.reports());
        let timeout = if cargo.part.reached.is_some() { LOAD_TIMEOUT } else { LONG };
        let mut sent = Sent::default();
        if cargo.part.reached.is_none() {
            sent.note(cargo.part, self.most_keys)?;
        }
        for attempt in 1.. {
            let reached = cargo.part.reached;
            let label =
                Label::of_step(&self.loader.job, self.loader.sequence.turn(), reached.unwrap_or_default());
            self.loader.permitted(&label, &mut reports).await;
            let began = async {
                self.call(Operation::Begin, &label, timeout).await?;
                self.bring(&label, &tables, timeout, cargo).await
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
                    self.loader.wait(Backoff::with(retry_class), attempt, label.as_str()).await;
                }
            }
        }
        Ok(None)
    }

    fn settled(&self, label: &Label, reports: &mut Reports<'_>) -> Option<Open> {
        self.loader.journal.ended(label);
        if reports.take_back() {
            info!(%label, "step succeeded after all");
        }
        None
    }

    fn reports(&self) -> Reports<'_> {
        Reports::new(&self.loader.progress, self.checkpoint.table())
    }
}

impl LoadTransaction for TransactionLoader {
    async fn load(&self, part: &Part) -> Result<Vec<Loaded>, Fault> {
        let cargo = self.measured(part).await?;
        let mut open = self.open.lock().await;
        *open = match open.take() {
            Some(open) => self.go_on(open, &cargo).await?,
            None => self.begin(&cargo).await?,
        };
        drop(open);
        let mut loaded = Vec::with_capacity(cargo.bodies.len());
        for (body, batch) in cargo.bodies.iter().zip(&part.batches) {
            if !body.losses().is_empty() {
                self.loader.progress.values_altered(&batch.table().name, body.losses());
            }
            debug!(table = %batch.table().name, rows = body.rows(), bytes = body.length(), "part of a step taken");
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
