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
//! A step that is larger than the buffer comes in parts into one transaction. Its first parts are gone from memory
//! when a later one fails; then the job begins again from the checkpoint.

mod call;
pub(super) mod checkpoint;
pub(super) mod sink;

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Mutex;
use tracing::{debug, info};

pub(super) use self::call::{Ended, place};
use self::{call::Operation, checkpoint::Checkpoint};
use super::{
    answer::{Hurdle, Trouble, Verdict, judge_error, judge_words, quotable},
    body::Body,
    label::Label,
    load::{LOAD_TIMEOUT, Manner, Order},
    loader::{Loader, Reports},
    patience::Patience,
};
use crate::{
    change::Aim,
    fault::{self, Fault},
    lsn::Lsn,
    pipeline::{Batch, Load, LoadTogether, Loaded, Part},
    table::{Table, TableName},
};

/// For a step that waits for the rest of a large transaction of the source.
const LONG: Duration = Duration::from_secs(3600);
/// Tables of one step that are loaded at a time.
const AT_ONCE: usize = 4;

/// StarRocks, as the pipeline of all tables together sees it.
#[derive(Debug)]
pub struct TogetherLoader {
    loader: Loader,
    checkpoint: Checkpoint,
    /// The transaction that has parts of a step and waits for more.
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    label: Label,
    tables: BTreeSet<TableName>,
}

/// Why an attempt came to nothing.
#[derive(Debug)]
enum Failed {
    /// It may be tried again.
    Trouble(Fault, Hurdle),
    Halt(Fault),
}

/// What a part is to StarRocks.
struct Cargo<'a> {
    bodies: Vec<Body<'a>>,
    part: &'a Part,
}

impl TogetherLoader {
    pub(super) fn new(loader: Loader, checkpoint: Checkpoint) -> Self {
        Self { loader, checkpoint, open: Mutex::default() }
    }

    async fn measured<'a>(&self, part: &'a Part) -> Result<Cargo<'a>, Fault> {
        let mut bodies = Vec::with_capacity(part.batches.len());
        for batch in &part.batches {
            bodies.push(Body::measure(batch, self.loader.sink.deletes, self.loader.sink.values).await?);
        }
        Ok(Cargo { bodies, part })
    }

    /// A part whose predecessors are in StarRocks and nowhere else: there is one attempt.
    async fn go_on(&self, mut open: Open, cargo: &Cargo<'_>) -> Result<Option<Open>, Fault> {
        open.tables.extend(cargo.tables());
        let mut reports = self.reports();
        match self.bring(&open.label, &open.tables, LONG, cargo).await {
            Ok(()) if cargo.part.reached.is_none() => return Ok(Some(open)),
            Ok(()) => {}
            Err(failed) => {
                let committed = self.ended(&open.label, cargo.part.reached, &mut reports).await;
                match failed {
                    Failed::Halt(fault) if !committed => return Err(fault),
                    Failed::Trouble(fault, _) if !committed => return Err(from_the_start(&fault)),
                    _ => {}
                }
            }
        }
        self.loader.journal.ended(&open.label);
        Ok(None)
    }

    /// A part with which a transaction begins: tried until it is taken, or until that is known to be impossible.
    async fn begin(&self, cargo: &Cargo<'_>) -> Result<Option<Open>, Fault> {
        let (tables, mut reports) = (cargo.tables().collect::<BTreeSet<_>>(), self.reports());
        let timeout = if cargo.part.reached.is_some() { LOAD_TIMEOUT } else { LONG };
        for attempt in 1.. {
            let reached = cargo.part.reached;
            let label =
                Label::of_step(&self.loader.job, self.loader.life.turn(), reached.unwrap_or_default());
            self.loader.permitted(&label, &mut reports).await;
            let began = async {
                self.call(Operation::Begin, &label, timeout).await?;
                self.bring(&label, &tables, timeout, cargo).await
            };
            match began.await {
                Ok(()) if reached.is_none() => return Ok(Some(Open { label, tables })),
                Ok(()) => return Ok(self.settled(&label, &mut reports)),
                Err(failed) => {
                    if self.ended(&label, reached, &mut reports).await {
                        return Ok(self.settled(&label, &mut reports));
                    }
                    self.loader.journal.ended(&label);
                    match failed {
                        Failed::Halt(fault) => return Err(fault),
                        Failed::Trouble(fault, hurdle) => {
                            reports.raise(fault, label.as_str(), attempt);
                            self.loader.wait(Patience::with(hurdle), attempt, label.as_str()).await;
                        }
                    }
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

    /// Loads what the part holds, and with the last part commits.
    async fn bring(
        &self,
        label: &Label,
        tables: &BTreeSet<TableName>,
        timeout: Duration,
        cargo: &Cargo<'_>,
    ) -> Result<(), Failed> {
        let loads = cargo.bodies.iter().zip(&cargo.part.batches);
        let loads = loads.map(|(body, batch)| self.send(label, timeout, body, batch));
        let mut loads = stream::iter(loads.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        while loads.try_next().await?.is_some() {}
        drop(loads);
        let Some(reached) = cargo.part.reached else { return Ok(()) };
        self.send_checkpoint(label, timeout, reached).await?;
        self.commit(label, tables, timeout).await
    }

    async fn send_checkpoint(&self, label: &Label, timeout: Duration, reached: Lsn) -> Result<(), Failed> {
        let Some(batch) = self.checkpoint.batch(reached) else { return Ok(()) };
        let body = Body::measure(&batch, self.loader.sink.deletes, Default::default()).await;
        self.send(label, timeout, &body.map_err(Failed::Halt)?, &batch).await
    }

    async fn send(
        &self,
        label: &Label,
        timeout: Duration,
        body: &Body<'_>,
        batch: &Batch,
    ) -> Result<(), Failed> {
        let table = batch.table();
        let order = Order { target: &table.target, label, body, manner: Manner::Within(timeout) };
        let verdict = match self.loader.frontend.send(&order).await {
            Ok(answer) => call::judge_load(&answer, table, body.rows()),
            Err(error) => judge_error(&error),
        };
        failed(verdict, table)
    }

    async fn call(&self, operation: Operation, label: &Label, timeout: Duration) -> Result<(), Failed> {
        let called = self.loader.frontend.transaction(operation, label, timeout).await;
        called.map(drop).map_err(|trouble| self.trouble(&trouble))
    }

    /// Committed, whatever the answer, if the label says so.
    async fn commit(
        &self,
        label: &Label,
        tables: &BTreeSet<TableName>,
        timeout: Duration,
    ) -> Result<(), Failed> {
        self.loader.still_permitted().await;
        // Only who could not be asked at all has certainly not committed; and the label tells that as well.
        let called = self.call(Operation::Commit, label, timeout).await;
        match self.loader.frontend.outcome(label).await.map_err(|trouble| self.trouble(&trouble))? {
            Some(Ended::Committed) => Ok(()),
            Some(Ended::Aborted(reason)) => Err(self.aborted(&reason, tables)),
            Some(Ended::Forgotten) | None => Err(called.err().unwrap_or_else(|| {
                self.trouble(&Trouble::new(Hurdle::Strange, "StarRocks does not know what it has committed"))
            })),
        }
    }

    fn aborted(&self, reason: &str, tables: &BTreeSet<TableName>) -> Failed {
        match judge_words(reason, self.checkpoint.table(), 0) {
            Verdict::Refused(fault) => Failed::Halt(refused(&fault, tables)),
            verdict => failed(verdict, self.checkpoint.table()).err().unwrap_or_else(|| {
                self.trouble(&Trouble::new(
                    Hurdle::Strange,
                    format!("StarRocks aborted a step: {}", quotable(reason)),
                ))
            }),
        }
    }

    fn trouble(&self, trouble: &Trouble) -> Failed {
        Failed::Trouble(of_sink(trouble.fault(self.checkpoint.table())), trouble.hurdle)
    }

    /// Brings a label to its end, however long that takes; says whether it was committed.
    async fn ended(&self, label: &Label, reached: Option<Lsn>, reports: &mut Reports<'_>) -> bool {
        for attempt in 1.. {
            let trouble = match self.loader.frontend.end(label).await {
                Ok(Ended::Committed) => return true,
                Ok(Ended::Aborted(_)) => return false,
                Ok(Ended::Forgotten) => match self.is_reached(reached).await {
                    Ok(is_reached) => return is_reached,
                    Err(fault) => fault,
                },
                Err(trouble) => of_sink(trouble.fault(self.checkpoint.table())),
            };
            reports.raise(trouble, label.as_str(), attempt);
            self.loader.wait(Patience::ASKING, attempt, label.as_str()).await;
        }
        false
    }

    /// Whether the checkpoint says that the step was committed.
    async fn is_reached(&self, reached: Option<Lsn>) -> Result<bool, Fault> {
        let Some(reached) = reached else { return Ok(false) };
        let known = self.checkpoint.read(&self.loader.sink).await.map_err(|error| error.fault())?;
        Ok(known >= Some(reached))
    }

    fn reports(&self) -> Reports<'_> {
        Reports::new(&self.loader.progress, self.checkpoint.table())
    }
}

impl LoadTogether for TogetherLoader {
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

impl Cargo<'_> {
    fn tables(&self) -> impl Iterator<Item = TableName> {
        self.part.batches.iter().map(|batch| batch.table().name.clone())
    }
}

fn failed(verdict: Verdict, table: &Table) -> Result<(), Failed> {
    match verdict {
        Verdict::Committed => Ok(()),
        Verdict::Refused(fault) | Verdict::Halt(fault) => Err(Failed::Halt(fault)),
        Verdict::Again(trouble) | Verdict::Unclear(trouble) => {
            Err(Failed::Trouble(trouble.fault(table), trouble.hurdle))
        }
    }
}

/// What concerns no table of the job.
fn of_sink(fault: Fault) -> Fault {
    Fault { part: fault::Part::Sink, ..fault }
}

/// Which table it was, StarRocks does not say.
fn refused(fault: &Fault, tables: &BTreeSet<TableName>) -> Fault {
    let names: Vec<_> = tables.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    Fault::halt(
        match tables.first() {
            Some(table) if tables.len() == 1 => fault::Part::Table(table.clone()),
            _ => fault::Part::Sink,
        },
        fault.reason,
        format!("StarRocks refused rows of a step that holds changes of {names}"),
        "see that the target's columns can hold what the source's can, or set consistency to Row, which finds the row",
    )
}

fn from_the_start(fault: &Fault) -> Fault {
    let message = format!("a step that is larger than the buffer has to come again: {}", fault.message);
    Fault::retry(fault::Part::Sink, fault.reason, message, fault.fix.clone())
}
