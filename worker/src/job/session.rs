//! One stretch of replication: set up both ends, then stream until the intake is closed or a fault ends it.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tracing::{error, info};

use super::{
    mend::{Relay, Still},
    off_the_runtime,
};
use crate::{
    change::Block,
    config::{BatchConfig, Consistency, JobConfig},
    fault::Fault,
    hold::{GRACE, Hold, Right},
    lsn::Lsn,
    pipeline::{Outset, Pipeline, Settings, Together},
    postgres::{self, Intake, Prepared, Reader, ReaderEnds, Router},
    progress::{Progress, Stage},
    starrocks::{self, Position, SlotIdentity, Takeover, Targets, Won},
    table::{Table, TableName},
};

/// Blocks between the reader and the pipeline: enough that neither waits for the other, and little
/// beside the buffer.
const BLOCKS: usize = 4;

/// Streams until the intake is closed or a table was mended, and then until everything received is durable and confirmed.
pub(super) async fn run(
    config: &JobConfig,
    intake: watch::Receiver<Intake>,
    batch: &watch::Receiver<BatchConfig>,
    selected: &watch::Receiver<Vec<TableName>>,
    progress: &Arc<Progress>,
    takeover: &mut Takeover,
) -> Result<Outcome, Fault> {
    progress.set_stage(Stage::Setup);
    let (prepared, targets) = prepare(config, progress, takeover).await?;
    progress.clear_all();
    for fault in &prepared.refused {
        progress.raise(fault.clone());
        error!(reason = %fault.reason, fix = %fault.fix, "{}", fault.message);
    }
    progress.set_stage(Stage::Cdc);
    info!(job = %config.job, slot = %config.source.slot, lsn = %prepared.confirmed, "streaming began");
    let relay = Relay::new(&intake);
    let (closing, again) = (relay.seen.subscribe(), Arc::clone(&relay.again));
    let (refused, halted) = (prepared.refused.clone(), targets.halted.len());
    let still = Still { config, progress, refused, halted, tables: prepared.tables.clone() };
    tokio::select! {
        ended = stream(config, prepared, targets, closing, batch.clone(), progress, takeover) => ended?,
        () = relay.run(intake, another(still, selected.clone())) => {}
    }
    Ok(if again.load(Relaxed) { Outcome::Again } else { Outcome::Drained })
}

/// Resolves when another session has something to do that this one cannot.
async fn another(still: Still<'_>, mut selected: watch::Receiver<Vec<TableName>>) {
    tokio::select! {
        () = still.mended() => {}
        // Nobody will select others any more when it is closed.
        Ok(()) = selected.changed() => {}
    }
}

/// Why a session ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The intake was closed, and everything received is confirmed.
    Drained,
    /// A table that stood still can be followed now, or the job has other tables.
    Again,
}

async fn prepare(
    config: &JobConfig,
    progress: &Progress,
    takeover: &Takeover,
) -> Result<(Prepared, Targets), Fault> {
    let source = config.source.clone();
    // Before the slot is touched: a slot that is missing is made only for a job without a past.
    let past = takeover.past(&source.slot).await?;
    let prepared = off_the_runtime(move || postgres::prepare(&source, &past)).await?;
    progress.clear(&crate::fault::Part::Source);
    let targets = starrocks::prepare(&config.sink, &config.job, &prepared.tables).await?;
    let mut in_the_way = prepared.refused.iter().chain(targets.halted.iter().map(|(_, fault)| fault));
    match in_the_way.next() {
        // A transaction cannot be followed without one of its tables.
        Some(fault) if config.sink.consistency == Consistency::Transaction => Err(fault.clone()),
        _ => Ok((prepared, targets)),
    }
}

async fn stream(
    config: &JobConfig,
    prepared: Prepared,
    mut targets: Targets,
    intake: watch::Receiver<Intake>,
    batch: watch::Receiver<BatchConfig>,
    progress: &Arc<Progress>,
    takeover: &mut Takeover,
) -> Result<(), Fault> {
    let Prepared { tables, holds_wal, confirmed: start, system_identifier, visibility, .. } = prepared;
    let slot = SlotIdentity { system_identifier, slot: config.source.slot.clone() };
    let (blocks, taken) = mpsc::channel::<Block>(BLOCKS);
    let (durable, made_durable) = watch::channel(start);
    let (noted, confirmable) = watch::channel(start);
    let (hold, held) = watch::channel(Hold::Sought);
    let (buffer, deletes) = (config.buffer, config.sink.deletes);
    let settings = Settings { batch, buffer, deletes, holds_wal };
    let outset = Outset { settings, tables: &tables, start, durable, progress: Arc::clone(progress) };
    let closing = intake.clone();
    let halted = std::mem::take(&mut targets.halted);
    let consistency = config.sink.consistency;
    let pipeline = async |won: Won| match consistency {
        Consistency::Row => {
            let load = Arc::new(won.loader());
            Pipeline::new(outset, load).halting(halted).run(taken).await;
            Ok(())
        }
        Consistency::Transaction => {
            let (reached, load) = (won.reached, Arc::new(won.together()));
            Together::new(Outset { start: reached, ..outset }, load).run(taken).await
        }
    };
    let loading = async {
        let won = tokio::select! {
            won = right_to_load(takeover, slot, start, held.clone()) => won,
            () = closed(closing) => None,
        };
        // Otherwise nothing was loaded, and nothing is left to do.
        let Some(won) = won else { return Ok(()) };
        won.keep_all(&targets, &tables).await?;
        let (ended, ()) = tokio::join!(pipeline(won), note(takeover, made_durable, noted, held));
        if ended.is_ok() {
            takeover.drained();
        }
        ended
    };
    let ends = ReaderEnds { blocks, durable: confirmable, intake, hold };
    let shapes = |table: &Table| {
        let history = targets.history(table.id).cloned().unwrap_or_default();
        (table.clone(), history.shapes)
    };
    let router = Router::new(tables.iter().map(shapes), visibility);
    let reader = Reader::new(config.source.clone(), router, start, ends, Arc::clone(progress));
    // The reader outlives the pipeline, to confirm what it made durable last; it ends when the pipeline
    // has ended or was dropped, because that closes the watch.
    let (mut loading, mut reading) = (pin!(loading), pin!(off_the_runtime(move || reader.run())));
    tokio::select! {
        loaded = &mut loading => {
            let read = reading.await;
            loaded.and(read)
        }
        read = &mut reading => {
            // Without the slot nothing more is sent; what is in the air then is noted.
            let _ = timeout(GRACE, loading).await;
            read
        }
    }
}

/// Resolves when the slot is ours and nothing of a predecessor can commit any more; without a loader when the reader
/// ended before the slot was ours.
async fn right_to_load(
    takeover: &mut Takeover,
    slot: SlotIdentity,
    durable: Lsn,
    mut held: watch::Receiver<Hold>,
) -> Option<Won> {
    let right = Right::new(held.clone());
    let timeline = loop {
        let hold = *held.borrow_and_update();
        if let Hold::Held { timeline } = hold {
            break timeline;
        }
        held.changed().await.ok()?;
    };
    Some(takeover.run(slot, Position { timeline, durable }).await.with_right(right))
}

/// Passes on what is durable when a successor would find it noted, until the pipeline ends. So PostgreSQL is never
/// told a position that nobody knows of, and a slot that is further was moved by somebody else.
async fn note(
    takeover: &mut Takeover,
    mut durable: watch::Receiver<Lsn>,
    noted: watch::Sender<Lsn>,
    held: watch::Receiver<Hold>,
) {
    loop {
        let lsn = *durable.borrow_and_update();
        let hold = *held.borrow();
        if let Hold::Held { timeline } = hold
            && takeover.timeline() != Some(timeline)
        {
            takeover.promoted(timeline).await;
        }
        if lsn != *noted.borrow() {
            takeover.reached(lsn).await;
            noted.send_replace(lsn);
        }
        if durable.changed().await.is_err() {
            return;
        }
    }
}

async fn closed(mut intake: watch::Receiver<Intake>) {
    // A desk that is gone has closed it.
    let _ = intake.wait_for(|intake| *intake == Intake::Closed).await;
}
