//! The copy of one table, chunk by chunk, until its target has every row.

use std::time::{Duration, Instant as Moment};

use crds::Reason;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use tracing::info;

use super::{
    chunk::{Chunk, Outcome},
    engine::Shared,
    pace::Pace,
    source::{ReadRows, Source},
};
use crate::{
    backoff::Backoff,
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::{AskBarrier, AtBarrier, Load, RecordCopy, batch::Identity},
    postgres::visibility::Earlier,
    progress::{CopyFigures, CopyStep, Owner},
    schema_history::{Blocks, CopyState, Removal},
    table::{Table, TableName},
};

/// A restart copies what was copied within this time once more.
const RECORD_EVERY: Duration = Duration::from_secs(5);
/// So many rewrites of a table during its copy are told.
const MANY_REWRITES: u32 = 3;
/// After so long a change of columns that was received must have been announced, if a row was changed since.
const UNANNOUNCED: Duration = Duration::from_secs(30);
/// Pause before a chunk is tried again that had to wait.
const PAUSE: Duration = Duration::from_millis(500);

/// The copy of one table.
pub(super) struct TableCopy<'a, L, S: Source> {
    pub(super) table: Table,
    pub(super) state: CopyState,
    pub(super) earlier: Earlier,
    /// The end of the WAL when this session began. No row of the target has a version beyond it, so no version falls when
    /// everything before it was received.
    pub(super) began_at: Lsn,
    pub(super) pace: Pace,
    pub(super) reader: S::Session,
    pub(super) shared: &'a Shared<L, S>,
    /// When the state was recorded last; none before the first chunk of this session.
    pub(super) recorded: Option<Instant>,
    /// The rows about which the source was asked last, and how often again.
    pub(super) repeated: Option<(Identity, u32)>,
    /// Since when the table has other columns than its lane, and the end of the WAL then.
    pub(super) unlike: Option<(Instant, Lsn)>,
    /// How often the table was rewritten during this copy.
    pub(super) rewrites: u32,
}

/// What a copy is waiting for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waits {
    /// A transaction that is in the WAL, or has written to the table, and is not visible yet.
    Transaction,
    /// Changes of the table's columns that the stream has not announced yet.
    Columns,
    /// The changes up to where the WAL ended when the session began, or when the last chunk was read.
    Changes,
    /// StarRocks, which shows rows as they were before a load.
    Publish,
}

impl Waits {
    fn words(self) -> &'static str {
        match self {
            Self::Transaction => "a transaction that it has to see, which is not visible yet",
            Self::Columns => "the change of the table's columns that the stream has not announced yet",
            Self::Changes => "changes that are still on their way",
            Self::Publish => "StarRocks, which shows rows as they were before a load",
        }
    }

    /// The received position is looked at often: small tables wait for little else. Another snapshot costs more.
    fn pause(self) -> Duration {
        match self {
            Self::Changes => PAUSE / 10,
            Self::Transaction | Self::Columns | Self::Publish => PAUSE,
        }
    }
}

/// How a step of a copy ended.
pub(super) enum Step {
    Next,
    Wait(Waits),
    Complete,
    /// The session ends, or the table is halted.
    End,
}

impl<L: Load + RecordCopy, S: Source> TableCopy<'_, L, S> {
    /// Runs until the target has every row, or the copies are stopped. Returns whether it has, and how far it is.
    pub(super) async fn run(mut self) -> (bool, CopyState) {
        let mut failures = 0;
        while !self.shared.stop.is_cancelled() {
            let pause = match self.step().await {
                Ok(Step::Complete) => {
                    self.shared.engine.progress.clear_of(Owner::Copy, &self.part());
                    return (true, self.state);
                }
                Ok(Step::End) => break,
                Ok(step) => {
                    failures = 0;
                    self.went_on();
                    match step {
                        Step::Wait(waits) => {
                            self.shared.engine.progress.copy_waits(&self.table.name, waits.words());
                            waits.pause()
                        }
                        _ => continue,
                    }
                }
                Err(fault) => {
                    self.shared.report(&self.table.name, fault);
                    self.forget_visible().await;
                    failures += 1;
                    Backoff::BUSY.wait(failures, &self.table.target)
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shared.stop.cancelled() => {}
            }
        }
        let waits = if self.shared.stop.is_cancelled() {
            "replication to go on"
        } else {
            "the halt of its table to end"
        };
        self.shared.engine.progress.copy_waits(&self.table.name, waits);
        (false, self.state)
    }

    /// Whatever kept the copy from going on is over, but for rewrites.
    fn went_on(&self) {
        if self.rewrites < MANY_REWRITES {
            self.shared.engine.progress.clear_of(Owner::Copy, &self.part());
        } else {
            let fault = rewritten(&self.table.name, self.rewrites);
            self.shared.engine.progress.raise_of(Owner::Copy, fault);
        }
    }

    /// The stream announces other columns with the next change of a row, which may never come; a new session knows them.
    pub(super) fn unlike(&mut self, end: Lsn) -> Waits {
        let engine = &self.shared.engine;
        let (since, end) = *self.unlike.get_or_insert((Instant::now(), end));
        if since.elapsed() >= UNANNOUNCED && engine.progress.received_lsn() >= end {
            info!(table = %self.table.name, "no change announces the columns that the table has now; starting a new session");
            engine.renew.notify_one();
            self.unlike = None;
        }
        Waits::Columns
    }

    fn at(&self, step: Option<CopyStep>) {
        self.shared.engine.progress.copy_step(&self.table.name, step);
    }

    fn part(&self) -> Part {
        Part::Table(self.table.name.clone())
    }

    /// Forgets routed transactions that are visible now, so that their list stays short while chunks fail.
    async fn forget_visible(&mut self) {
        let (mark, routed) = self.shared.engine.routed.now();
        if let Ok(visibility) = self.reader.visibility().await {
            let unseen: Vec<_> = routed.into_iter().filter(|xid| !visibility.sees(*xid)).collect();
            self.shared.engine.routed.seen(mark, &unseen);
        }
    }

    async fn step(&mut self) -> Result<Step, Fault> {
        if self.state.removal == Some(Removal { from: None }) {
            return self.begin_removal().await;
        }
        match self.state.next(self.pace.blocks()) {
            Some(blocks) => self.copy(blocks).await,
            None => self.complete().await,
        }
    }

    /// Waits until everything of the table that came before is durable; none when that will not be.
    async fn barrier(&self) -> Option<AtBarrier> {
        self.at(Some(CopyStep::Barrier));
        let (reached, at) = oneshot::channel();
        self.shared.engine.ask.send(AskBarrier { table: self.table.id, reached }).await.ok()?;
        tokio::select! {
            at = at => at.ok(),
            // What was asked for is dropped, and the lane goes on at once.
            () = self.shared.stop.cancelled() => None,
        }
    }

    /// A barrier behind everything that was in the WAL when the session began.
    pub(super) async fn caught_up(&self) -> Result<AtBarrier, Step> {
        if self.shared.engine.progress.received_lsn() < self.began_at {
            return Err(Step::Wait(Waits::Changes));
        }
        let Some(barrier) = self.barrier().await else { return Err(Step::End) };
        if barrier.received < self.began_at {
            barrier.lift();
            return Err(Step::Wait(Waits::Changes));
        }
        Ok(barrier)
    }

    async fn copy(&mut self, blocks: Blocks) -> Result<Step, Fault> {
        let barrier = match self.caught_up().await {
            Ok(barrier) => barrier,
            Err(step) => return Ok(step),
        };
        let began = Moment::now();
        let chunk = Chunk {
            name: &self.table.name,
            blocks,
            state: &self.state,
            earlier: &self.earlier,
            batch: self.shared.engine.batch,
            progress: &self.shared.engine.progress,
            stop: &self.shared.stop,
        };
        let outcome = chunk.copy(&barrier, &mut self.reader, &*self.shared.engine.load).await;
        let step = self.take(outcome, &barrier, blocks, began).await;
        barrier.lift();
        step
    }

    async fn take(
        &mut self,
        outcome: Result<Outcome, Fault>,
        barrier: &AtBarrier,
        blocks: Blocks,
        began: Moment,
    ) -> Result<Step, Fault> {
        match outcome? {
            Outcome::Copied { rows, bytes, end } => {
                self.shared.engine.routed.seen(barrier.mark, &[]);
                let count = blocks.to.map(|to| to - blocks.from);
                count.into_iter().for_each(|count| self.pace.took(count, rows, began.elapsed()));
                self.unlike = None;
                self.state.copied(blocks, rows, bytes, end);
                self.show();
                self.record(self.state.next(1).is_none()).await?;
                Ok(Step::Next)
            }
            Outcome::NotSeen { unseen } => {
                self.shared.engine.routed.seen(barrier.mark, &unseen);
                Ok(Step::Wait(Waits::Transaction))
            }
            Outcome::Moved { table } => {
                self.rewritten();
                self.follow(table).await.map(|()| Step::Next)
            }
            Outcome::Unlike { end } => Ok(Step::Wait(self.unlike(end))),
            Outcome::Stopped => self.record(true).await.map(|()| Step::End),
        }
    }

    /// A table that is rewritten faster than it is copied would be copied for ever.
    fn rewritten(&mut self) {
        self.rewrites += 1;
        if self.rewrites >= MANY_REWRITES {
            self.shared.report(&self.table.name, rewritten(&self.table.name, self.rewrites));
        }
    }

    /// Takes over the storage that the table has now.
    pub(super) async fn follow(&mut self, table: Table) -> Result<(), Fault> {
        let files = table.facts.files.clone();
        let sizes = self.reader.sizes(&table).await?;
        self.state.follow(&files, &sizes);
        self.show();
        Ok(())
    }

    pub(super) fn show(&mut self) {
        let (blocks, blocks_done) = self.state.blocks();
        let CopyState { rows, bytes, .. } = self.state;
        let reached = CopyFigures { blocks, blocks_done, rows, bytes };
        self.shared.engine.progress.copy_reached(&self.table.name, reached);
    }

    pub(super) async fn record(&mut self, now: bool) -> Result<(), Fault> {
        if now
            || self.shared.stop.is_cancelled()
            || self.recorded.is_none_or(|at| at.elapsed() >= RECORD_EVERY)
        {
            self.shared.engine.load.record_copy(&self.table, &self.state).await?;
            self.recorded = Some(Instant::now());
        }
        Ok(())
    }

    /// The copy is complete when every change that a chunk can contain is loaded too: until then a row of a chunk may
    /// be newer than a change that lacks a value of it.
    async fn complete(&mut self) -> Result<Step, Fault> {
        if self.shared.engine.progress.received_lsn() < self.state.end {
            return Ok(Step::Wait(Waits::Changes));
        }
        let Some(barrier) = self.barrier().await else { return Ok(Step::End) };
        let step = match self.remove(&barrier).await {
            Ok(None) => self.complete_at(&barrier).await,
            Ok(Some(step)) => Ok(step),
            Err(fault) => Err(fault),
        };
        barrier.lift();
        step
    }

    async fn complete_at(&mut self, barrier: &AtBarrier) -> Result<Step, Fault> {
        if barrier.received < self.state.end {
            return Ok(Step::Wait(Waits::Changes));
        }
        self.shared.engine.load.record_whole(&self.table).await?;
        self.shared.engine.copies.complete(self.table.id);
        self.shared.engine.progress.copy_complete(&self.table.name);
        info!(table = %self.table.name, rows = self.state.rows, bytes = self.state.bytes, "existing rows copied");
        Ok(Step::Complete)
    }
}

fn rewritten(table: &TableName, rewrites: u32) -> Fault {
    Fault::retry(
        Part::Table(table.clone()),
        Reason::SourceTableRewritten,
        format!(
            "{table} was rewritten {rewrites} times while it was copied, and each time its copy began anew"
        ),
        "stop what rewrites it (VACUUM FULL, CLUSTER, pg_repack) until it is copied",
    )
}
