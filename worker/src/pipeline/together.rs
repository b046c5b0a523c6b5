//! The pipeline task where all tables are loaded in one step: what it loads begins and ends between two
//! transactions of the source, so that readers of the sink never see half of one.
//!
//! ```text
//! current ──commit──► whole ──due──► part ═► the sink's transaction, committed with the position reached
//!    └──── larger than the buffer ──► part ═► the same transaction, left open until the commit has come
//! ```
//!
//! One step at a time. What cannot be loaded stops the job, for the rest of its transaction cannot be loaded either;
//! it begins again from what was reached.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep_until,
};
use tracing::error;

use super::{
    LoadTogether, Part, Settings,
    batch::Deletes,
    gathered::{Closed, Gathered},
    lane::Transaction,
    ledger::{Ledger, Ticket},
    limits::Limits,
    publish::publish,
};
use crate::{
    change::{Aim, Block, Change, Event, Reshape},
    config::BatchConfig,
    fault::{self, Fault},
    lsn::Lsn,
    progress::{LoadDone, Progress},
    table::{Table, TableId},
};

/// One job's pipeline, from blocks to the durable position, all tables together.
#[derive(Debug)]
pub struct Together<L> {
    buffer: usize,
    limits: Limits,
    batch: BatchConfig,
    deletes: Deletes,
    tables: Vec<Arc<Table>>,
    ledger: Ledger,
    transaction: Transaction,
    /// Transactions before it are in the sink already.
    reached: Lsn,
    /// The source's transaction that is being received.
    current: Option<Gathered>,
    /// Set once parts of it are in the sink's open transaction.
    spilled: Option<Spilled>,
    /// Transactions of the source that were received whole.
    whole: Option<Gathered>,
    waiting: VecDeque<Step>,
    in_flight: Option<usize>,
    last_began: Option<Instant>,
    load: Arc<L>,
    /// With the ticket of what is durable then.
    landing: JoinSet<Result<Option<Ticket>, Fault>>,
    /// Changes that came again and are in the sink already.
    skipped: u64,
    durable: watch::Sender<Lsn>,
    progress: Arc<Progress>,
}

#[derive(Debug)]
struct Spilled {
    ticket: Ticket,
    tables: HashSet<TableId>,
}

/// What waits for its turn.
#[derive(Debug)]
enum Step {
    Load {
        gathered: Gathered,
        reached: Option<Lsn>,
    },
    /// Its transaction's load follows.
    Empty(Arc<Table>),
    Reshape(Arc<Aim>),
}

impl Step {
    fn held_bytes(&self) -> usize {
        match self {
            Self::Load { gathered, .. } => gathered.held_bytes(),
            Self::Empty(_) | Self::Reshape(_) => 0,
        }
    }
}

impl<L: LoadTogether> Together<L> {
    /// `tables` in the order of their ids; everything before `start` is durable already.
    pub fn new(
        settings: Settings,
        tables: &[Table],
        start: Lsn,
        load: Arc<L>,
        durable: watch::Sender<Lsn>,
        progress: Arc<Progress>,
    ) -> Self {
        let Settings { batch, buffer, deletes, holds_wal: _ } = settings;
        let mut limits = Limits::new(batch, buffer);
        Self {
            buffer,
            batch: limits.now(),
            limits,
            deletes,
            tables: tables.iter().map(|table| Arc::new(table.clone())).collect(),
            ledger: Ledger::starting_at(start),
            transaction: Transaction { commit: start, time: SystemTime::UNIX_EPOCH },
            reached: start,
            current: None,
            spilled: None,
            whole: None,
            waiting: VecDeque::new(),
            in_flight: None,
            last_began: None,
            load,
            landing: JoinSet::new(),
            skipped: 0,
            durable,
            progress,
        }
    }

    /// Runs until the source ends and everything whole that it handed on is durable, or until something cannot be
    /// loaded. Dropping the future loses nothing: what was not durable was not confirmed.
    pub async fn run(mut self, mut blocks: mpsc::Receiver<Block>) -> Result<(), Fault> {
        let mut ending = None;
        loop {
            self.depart(ending.is_some())?;
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
                Some(landed) = self.landing.join_next() => self.settle(landed)?,
                block = blocks.recv(), if ending.is_none() && room => match block {
                    Some(block) => ending = self.take(&block).err().map(Err),
                    None => ending = Some(Ok(())),
                },
                () = self.limits.changed() => self.batch = self.limits.now(),
                () = sleep_until(due.into()) => {}
            }
            if ending.is_some() {
                // The rest of it will not come any more.
                self.forget_current();
            }
        }
    }

    fn take(&mut self, block: &Block) -> Result<(), Fault> {
        for event in block.events() {
            match event {
                Event::Begin { commit, time } => self.begin(Transaction { commit, time })?,
                Event::Change { table, change } => self.push(table, change)?,
                Event::Truncate { table } => self.truncate(table)?,
                Event::Reshape { table, reshape } => self.reshape(table, reshape),
                Event::Commit { end } => self.commit(end)?,
                Event::Keepalive { lsn } => self.ledger.keepalive(lsn),
                Event::Halt { fault, .. } => return Err(fault.clone()),
            }
        }
        Ok(())
    }

    /// A transaction that was cut by a lost connection comes again.
    fn begin(&mut self, transaction: Transaction) -> Result<(), Fault> {
        if self.spilled.is_some() {
            return Err(cut_in_two());
        }
        self.forget_current();
        self.transaction = transaction;
        self.ledger.begin(transaction.time);
        Ok(())
    }

    fn is_loaded(&self) -> bool {
        self.transaction.commit < self.reached
    }

    fn push(&mut self, table: TableId, change: Change<'_>) -> Result<(), Fault> {
        let Some(table) = self.tables.get(table.0 as usize).cloned() else { return Ok(()) };
        if self.is_loaded() {
            self.skipped += 1;
            return Ok(());
        }
        let (deletes, transaction) = (self.deletes, self.transaction);
        self.current().push(&table, deletes, change, transaction)
    }

    /// What the transaction did to the table before is void.
    fn truncate(&mut self, table: TableId) -> Result<(), Fault> {
        let Some(table) = self.tables.get(table.0 as usize).cloned() else { return Ok(()) };
        if self.is_loaded() {
            return Ok(());
        }
        if self.spilled.as_ref().is_some_and(|spilled| spilled.tables.contains(&table.id)) {
            return Err(emptied_too_late(&table));
        }
        let void = self.current().empty(table);
        self.progress.changes_settled(void);
        Ok(())
    }

    /// Rows of two shapes are never in one step, and no step is open while a target changes. So a transaction that
    /// has written to the table before is cut here, and seen in two steps.
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

    /// What there is of the transaction goes by itself; the position stays before it.
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

    /// The transaction goes along with those before it.
    fn join(&mut self, current: Gathered) -> Result<(), Fault> {
        let Some(mut whole) = self.whole.take() else {
            self.whole = Some(current);
            return Ok(());
        };
        self.ledger.settle(whole.absorb(current)?);
        self.whole = Some(whole);
        Ok(())
    }

    fn close_whole(&mut self) {
        if let Some(whole) = self.whole.take() {
            let reached = self.ledger.received();
            self.close(whole, Some(reached));
        }
    }

    fn close(&mut self, mut gathered: Gathered, reached: Option<Lsn>) {
        self.waiting.extend(std::mem::take(&mut gathered.emptied).into_iter().map(Step::Empty));
        self.waiting.push_back(Step::Load { gathered, reached });
    }

    fn forget_current(&mut self) {
        if let Some(current) = self.current.take() {
            self.progress.changes_settled(current.changes());
            if self.spilled.is_none() {
                self.ledger.settle(current.ticket);
            }
        }
    }

    /// Sends off what is due, unless something is under way.
    fn depart(&mut self, ending: bool) -> Result<(), Fault> {
        if self.in_flight.is_some() {
            return Ok(());
        }
        let now = Instant::now();
        if self.waiting.is_empty() && (ending || self.is_due(now)) {
            self.close_whole();
        }
        if self.waiting.is_empty() && !self.has_room() {
            self.spill();
        }
        let Some(step) = self.waiting.pop_front() else { return Ok(()) };
        self.in_flight = Some(step.held_bytes());
        match step {
            Step::Load { gathered, reached } => {
                self.last_began = Some(now);
                self.fly(gathered, reached)
            }
            Step::Reshape(aim) => {
                let load = Arc::clone(&self.load);
                self.landing.spawn(async move { load.reshape(&aim).await.map(|()| None) });
                Ok(())
            }
            Step::Empty(table) => {
                let load = Arc::clone(&self.load);
                self.landing.spawn(async move { load.truncate(&table).await.map(|()| None) });
                Ok(())
            }
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let Some(whole) = &self.whole else { return false };
        let full = whole.held_bytes() >= self.batch.max_bytes || whole.most_rows() >= self.batch.max_rows;
        full || !self.has_room() || self.after_the_last().is_none_or(|due| due <= now)
    }

    /// The transaction at hand is larger than the buffer: a part of it goes ahead, and is not to be seen yet.
    fn spill(&mut self) {
        let Some(gathered) = self.current.take() else { return };
        let new = || Spilled { ticket: gathered.ticket, tables: HashSet::new() };
        self.spilled.get_or_insert_with(new).tables.extend(gathered.tables());
        self.close(gathered, None);
    }

    fn fly(&mut self, gathered: Gathered, reached: Option<Lsn>) -> Result<(), Fault> {
        let (ticket, oldest_commit) = (gathered.ticket, gathered.oldest_commit);
        let closed = gathered.close(SystemTime::now())?;
        let (load, progress) = (Arc::clone(&self.load), Arc::clone(&self.progress));
        self.landing.spawn(async move {
            bring(closed, reached, oldest_commit, &*load, &progress).await?;
            Ok(reached.map(|_| ticket))
        });
        Ok(())
    }

    fn settle(
        &mut self,
        landed: Result<Result<Option<Ticket>, Fault>, tokio::task::JoinError>,
    ) -> Result<(), Fault> {
        self.in_flight = None;
        let landed = landed.unwrap_or_else(|cause| {
            error!(error = %cause, "a load ended by a defect; beginning again");
            Err(defect())
        });
        if let Some(ticket) = landed? {
            self.ledger.settle(ticket);
        }
        Ok(())
    }

    fn publish(&mut self) {
        self.progress.changes_settled(std::mem::take(&mut self.skipped));
        publish(&self.ledger, self.held_bytes(), &self.durable, &self.progress);
    }

    fn is_empty(&self) -> bool {
        self.in_flight.is_none() && self.waiting.is_empty() && self.whole.is_none()
    }

    fn has_room(&self) -> bool {
        self.held_bytes() < self.buffer
    }

    fn held_bytes(&self) -> usize {
        let gathered = self.whole.iter().chain(&self.current).map(Gathered::held_bytes);
        let waiting = self.waiting.iter().map(Step::held_bytes);
        gathered.chain(waiting).chain(self.in_flight).sum()
    }

    fn after_the_last(&self) -> Option<Instant> {
        self.last_began.map(|began| began + self.batch.min_interval)
    }

    fn next_due(&self) -> Instant {
        let quiet = Instant::now() + Duration::from_secs(60);
        let waits = self.whole.is_some() && self.in_flight.is_none();
        self.after_the_last().filter(|_| waits).unwrap_or(quiet)
    }
}

/// Loads a part, and tells what became of it.
async fn bring<L: LoadTogether>(
    closed: Vec<Closed>,
    reached: Option<Lsn>,
    oldest_commit: SystemTime,
    load: &L,
    progress: &Progress,
) -> Result<(), Fault> {
    let began = Instant::now();
    let changes: Vec<u64> = closed.iter().map(|closed| closed.changes).collect();
    let part = Part { batches: closed.into_iter().map(|closed| closed.batch).collect(), reached };
    let loaded = load.load(&part).await?;
    let lag = SystemTime::now().duration_since(oldest_commit).unwrap_or_default();
    for ((batch, changes), loaded) in part.batches.iter().zip(changes).zip(loaded) {
        let done = LoadDone {
            changes,
            rows: loaded.rows,
            bytes: loaded.bytes,
            seconds: began.elapsed().as_secs_f64(),
            lag_seconds: lag.as_secs_f64(),
        };
        progress.load_done(&batch.table().name, done);
    }
    Ok(())
}

/// Nothing is lost: it is read again from its beginning.
fn cut_in_two() -> Fault {
    Fault::retry(
        fault::Part::Source,
        crds::Reason::SourceUnreachable,
        "the stream was cut within a transaction that is larger than the buffer",
        "wait: it is read again from its beginning; a larger worker.buffer makes that less likely",
    )
}

fn defect() -> Fault {
    let fix = "report it with the worker's log; the worker tries again by itself";
    Fault::retry(fault::Part::Job, crds::Reason::InternalDefect, "a load ended by a defect", fix)
}

fn emptied_too_late(table: &Table) -> Fault {
    let name = &table.name;
    Fault::halt(
        fault::Part::Table(name.clone()),
        crds::Reason::BadConfiguration,
        format!(
            "a transaction that is larger than the buffer truncates {name} after it has written to it, which cannot be \
             followed in one step"
        ),
        "give worker.buffer room for the whole transaction, or set consistency to Row",
    )
}

#[cfg(test)]
mod tests;
