//! The loader: loads batches into StarRocks, and retries without limit.
//!
//! ```text
//! measure ─► send ─► judge ─┬─ committed ──────────────────────► durable
//!              ▲            ├─ unclear ─► ask for the state ───► durable
//!              │            │                   │ free
//!              └─── wait ◄──┴─ again ◄──────────┘       halt ─► the table stops
//!                                                  refused ─► halving: find the refused rows
//! ```
//!
//! A load keeps its label and its bytes through all attempts. Retryable faults are reported while they last; only faults
//! in the data or the columns of this one table end the load.

pub(crate) mod attempts;
mod bulk;
mod copy;
mod halving;
mod histories;
mod reports;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use tokio::sync::mpsc;
use tracing::{debug, info};

pub(crate) use self::{attempts::Failure, reports::Reports};
use super::{
    body::{Body, Content},
    label::Label,
    request::{Manner, Order},
    sequence::LoadSequence,
};
use crate::{
    backoff::Backoff,
    change::Aim,
    config::{SinkConfig, Values},
    fault::{Course, Fault, Part, take_anew},
    pipeline::{Batch, Bulk, ColumnSet, Load, Loaded, Piece},
    progress::Progress,
    schema_history::{SchemaHistory, TargetIdentity},
    slot_lease::LoadPermit,
    starrocks::{
        bookkeeping::{owners::Claimant, schema_histories},
        dead_letter::table::DeadLetters,
        http::frontend::Frontend,
        load::journal::Journal,
        schema::{self, Beginning},
    },
    table::Table,
};

/// After so many consecutive refusals, about 15 s with the back-off, a TRUNCATE counts as refused for good.
const MOST_REFUSALS: u32 = 7;

/// Implements the pipeline's trait [`Load`] for StarRocks.
#[derive(Debug)]
pub struct Loader {
    pub(crate) frontend: Frontend,
    pub(crate) sink: SinkConfig,
    pub(crate) job: String,
    pub(crate) progress: Arc<Progress>,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) journal: Arc<Journal>,
    pub(crate) sequence: LoadSequence,
    /// None where no lease applies.
    pub(crate) permit: Option<LoadPermit>,
    /// Recorded as the owner of targets that this job begins.
    pub(crate) claimant: Option<Claimant>,
    /// Where targets begin that were not ready at the start of the session, by name.
    beginnings: Mutex<HashMap<String, Beginning>>,
    /// Whether StarRocks has said that it has no transactions over one table.
    pub(crate) lacks_bulk: AtomicBool,
    /// Upper limit of every pause; only tests set it.
    pub(crate) longest_wait: Duration,
}

impl Loader {
    /// A loader for `job`, whose name is part of every label.
    pub(crate) fn new(
        config: &SinkConfig,
        job: &str,
        progress: Arc<Progress>,
        journal: Arc<Journal>,
    ) -> Self {
        Self {
            frontend: Frontend::new(config),
            sink: config.clone(),
            job: job.to_owned(),
            dead_letters: DeadLetters::default(),
            progress,
            journal,
            sequence: LoadSequence::begin(),
            permit: None,
            claimant: None,
            beginnings: Mutex::default(),
            lacks_bulk: AtomicBool::new(false),
            longest_wait: Duration::MAX,
        }
    }

    /// Sets the dead letters of earlier sessions.
    #[must_use]
    pub(crate) fn with_dead_letters(self, dead_letters: DeadLetters) -> Self {
        Self { dead_letters, ..self }
    }

    /// Sets the owner to record for targets that this job begins.
    #[must_use]
    pub(crate) fn owning(self, claimant: Claimant) -> Self {
        Self { claimant: Some(claimant), ..self }
    }

    /// Sets the permit without which no load and no attempt begins.
    #[must_use]
    pub fn with_permit(self, permit: LoadPermit) -> Self {
        Self { permit: Some(permit), ..self }
    }

    /// Loads the batch in one load, with these rules for its values.
    pub(crate) async fn load_whole(&self, batch: &Batch, values: Values) -> Result<Loaded, Failure> {
        let table = batch.table();
        let body = Body::measure(batch, self.sink.deletes, values).await.map_err(Failure::Table)?;
        let label = Label::new(&self.job, table, self.sequence.next(), batch.identity());
        let permit = self.permit.as_ref();
        let order = Order {
            target: &table.target,
            label: &label,
            body: Content::Measured(&body),
            manner: Manner::Alone,
            permit,
        };
        let settled = self.settle(&order, Reports::new(&self.progress, table)).await;
        self.journal.ended(&label);
        settled?;
        if !body.losses().is_empty() {
            self.progress.values_altered(&table.name, body.losses());
        }
        debug!(table = %table.name, %label, rows = body.rows(), bytes = body.length(), "load committed");
        Ok(Loaded { rows: body.rows(), bytes: body.length() })
    }

    /// Stores the target's identity around a TRUNCATE of our own: none before it, the new partition numbers after it.
    async fn keep_sink(&self, table: &Table, now: Option<TargetIdentity>) -> Result<(), Fault> {
        match schema_histories::kept_of(&self.sink, &self.job, table).await? {
            Some(history) if history.sink != now => {
                self.keep(&table.target, &SchemaHistory { sink: now, ..history }).await
            }
            _ => Ok(()),
        }
    }

    /// Empties the target. Each step may be repeated.
    async fn empty(&self, table: &Table) -> Result<(), Fault> {
        self.keep_sink(table, None).await?;
        schema::truncate(&self.sink, table, self.permit.as_ref()).await?;
        let now = schema::identity_of(&self.sink, table).await?;
        self.keep_sink(table, now).await
    }

    /// A thread that panicked has changed the map or not.
    pub(crate) fn beginnings(&self) -> MutexGuard<'_, HashMap<String, Beginning>> {
        self.beginnings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reshape_once(&self, aim: &Aim) -> Result<SchemaHistory, Fault> {
        let beginning = self.beginnings().get(&aim.table.target).cloned();
        schema::reshape(&self.sink, &self.job, aim, beginning.as_ref(), self.permit.as_ref()).await
    }

    pub(crate) async fn keep(&self, target: &str, history: &SchemaHistory) -> Result<(), Fault> {
        match schema_histories::batch(&self.job, target, history, SystemTime::now()) {
            Some(batch) => self.load(&batch).await.map(|_| ()),
            None => Ok(()),
        }
    }
}

fn not_completed(table: &Table) -> Fault {
    let message = "a row under a new key was to be loaded without a value that it needs";
    let fix = "report it with the worker's log, and take the table anew";
    Fault::halt(Part::Table(table.name.clone()), crds::Reason::InternalDefect, message, fix)
}

impl Load for Loader {
    async fn load(&self, batch: &Batch) -> Result<Loaded, Fault> {
        if batch.row_count() == 0 {
            return Ok(Loaded::default()); // StarRocks answers an empty load with an error
        }
        if matches!(batch.columns(), ColumnSet::Lacking(_)) {
            return Err(not_completed(batch.table())); // as a partial update its missing values would become NULL
        }
        if self.dead_letters.concerns(&batch.table().name) {
            return self.load_beside_dead_letters(batch).await;
        }
        match self.load_whole(batch, self.sink.values).await {
            Ok(loaded) => Ok(loaded),
            Err(Failure::Table(fault)) => Err(fault),
            Err(Failure::Rows(fault)) => self.isolate_refused(batch, fault).await,
        }
    }

    fn takes_bulk(&self, table: &Table) -> bool {
        self.can_load_in_bulk(table)
    }

    async fn load_bulk(
        &self,
        table: &Arc<Table>,
        room: usize,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<Bulk, Fault> {
        self.load_in_bulk(table, room, pieces).await
    }

    async fn reshape(&self, aim: &Aim) -> Result<(), Fault> {
        let mut reports = Reports::new(&self.progress, &aim.table);
        let target = &aim.table.target;
        let mut attempt = 0;
        let history = loop {
            self.still_permitted().await;
            match self.reshape_once(aim).await {
                Ok(history) => break history,
                Err(fault) if fault.course == Course::Halt => return Err(fault),
                Err(fault) => reports.raise(fault, target, attempt),
            }
            attempt += 1;
            self.wait(Backoff::USUAL, attempt, target).await;
        };
        info!(table = %aim.table.name, %target, "target table columns adapted to the source");
        self.keep_begun(&aim.table, &history).await?;
        self.beginnings().remove(target);
        Ok(())
    }

    async fn truncate(&self, table: &Table) -> Result<(), Fault> {
        let mut reports = Reports::new(&self.progress, table);
        let mut refusals = 0;
        for attempt in 1.. {
            self.still_permitted().await;
            let Err(fault) = self.empty(table).await else { break };
            refusals = if fault.course == Course::Halt { refusals + 1 } else { 0 };
            if refusals == MOST_REFUSALS {
                return Err(not_emptied(table, fault));
            }
            // A refusal in unknown words may be temporary, so it counts as permanent only after several attempts.
            reports.raise(Fault { course: Course::Retry, ..fault }, &table.target, attempt);
            self.wait(Backoff::USUAL, attempt, &table.target).await;
        }
        self.dead_letters.forget(table);
        info!(table = %table.name, target = %table.target, "target table truncated");
        Ok(())
    }
}

/// A TRUNCATE cannot be skipped: the changes after it wait for it.
fn not_emptied(table: &Table, fault: Fault) -> Fault {
    let fix = format!(
        "mend what StarRocks says stands in the way and restart the worker, which tries again from there; or {}",
        take_anew(table)
    );
    Fault { part: Part::Table(table.name.clone()), fix, ..fault }
}

#[cfg(test)]
mod tests;
