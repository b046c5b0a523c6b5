//! Runs a reader at one end and a pipeline at the other, until the intake is closed or one of them ends with a fault.
//!
//! ```text
//!           blocks                        recorded first
//! reader ═════════► pipeline ──durable──► lease_keeper ──confirmable──► reader
//!    └───SlotHold──────────────────────────────▲
//! ```

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    copies::{SessionCopies, needed},
    lease_keeper::{Keeper, acquire_grant, record_durable},
    off_the_runtime,
    requests::Taken,
    resume::Resume,
};
use crate::{
    change::{Aim, ReceivedBlock, Room, channel},
    config::{BatchConfig, Consistency, JobConfig},
    fault::Fault,
    pipeline::{self, Inputs, Pipeline, Settings, TransactionPipeline},
    postgres::{Intake, Prepared, Reader, ReaderEnds, Router, Visibility},
    progress::{Progress, Stage},
    slot_lease::{SlotHold, SlotLease},
    starrocks::{BetweenSteps, Fencing, LoadGrant, SlotIdentity, Targets, Tenure},
    table::{Table, TableId},
};

/// Bytes in the channel from reader to pipeline: enough that neither waits for the other.
const CHANNEL: usize = 1 << 20;
/// Bytes of the channel, of blocks waiting before it, and of request bodies in flight; taken out of the buffer.
const RESERVED: usize = 2 << 20;
/// Limit for loads in flight when the slot is lost for good; what completes in time is recorded.
const IN_FLIGHT_LIMIT: Duration = Duration::from_secs(20);
/// The process holds more memory than batches count: buffer / 6, measured with 40 tables.
const OVERHEAD_DIVISOR: usize = 6;

/// Streams until the intake is closed; returns whether everything received is durable.
pub(super) async fn stream(
    config: &JobConfig,
    (prepared, mut targets, taken): (Prepared, Targets, Taken),
    intake: watch::Receiver<Intake>,
    batch: watch::Receiver<BatchConfig>,
    progress: &Arc<Progress>,
    fencing: &mut Fencing,
    resume: &mut Resume,
) -> Result<bool, Fault> {
    let Prepared { tables, holds_wal, confirmed: start, system_identifier, visibility, .. } = prepared;
    let (blocks, received) = channel(CHANNEL);
    let buffer = batch_buffer(config.buffer);
    let blocks = blocks.with_room_behind(Room { buffer, memory: config.memory });
    let (durable, made_durable) = watch::channel(start);
    let (recorded, confirmable) = watch::channel(start);
    let (hold, held) = watch::channel(SlotHold::Sought);
    let ends = ReaderEnds { blocks, durable: confirmable, intake: intake.clone(), hold };
    let router = router(&tables, &targets, visibility);
    let reader = Reader::new(config.source.clone(), router, start, ends, Arc::clone(progress));
    let slot = SlotIdentity { system_identifier, slot: config.source.slot.clone() };
    let deletes = config.sink.deletes;
    let settings = Settings { batch, buffer, deletes, holds_wal };
    let inputs = Inputs { settings, tables: &tables, start, durable, progress: Arc::clone(progress) };
    let mut halted = std::mem::take(&mut targets.halted);
    let unfinished = std::mem::take(&mut targets.unfinished);
    let (lease, permit) = SlotLease::new();
    let keeper = Keeper::new(lease, Arc::clone(progress));
    fencing.load_by(permit);
    let copying = intake.clone();
    let loading = async {
        let grant = tokio::select! {
            grant = acquire_grant(fencing, slot, start, held.clone(), &keeper) => grant,
            () = closed(intake) => None,
        };
        // Without a grant nothing was loaded, and nothing is left to do.
        let Some((grant, held_slot)) = grant else { return Ok(true) };
        let shared = grant.keep_all(&targets, &tables).await?;
        taken.recorded().into_iter().for_each(|name| progress.set_snapshot_request(name));
        match shared.first() {
            // No transaction can be replicated without one of its tables.
            Some((_, fault)) if config.sink.consistency == Consistency::Transaction => {
                return Err(fault.clone());
            }
            _ => halted.extend(shared),
        }
        progress.set_stage(Stage::Cdc);
        let tenure = fencing.tenure();
        tables.iter().filter(|table| targets.is_new(table.id)).for_each(|table| resume.forget(&table.name));
        let (copies, known) = SessionCopies::of(
            needed(config, &tables, &targets, &halted),
            copying,
            buffer,
            resume.read_again(),
        );
        let pipeline = load(
            config,
            inputs,
            BlockedTables { halted, unfinished },
            grant,
            (received, copies, known),
            resume,
            tenure,
        );
        let recording = record_durable(fencing, made_durable, recorded, held, &keeper, held_slot);
        let (is_whole, ()) = tokio::try_join!(pipeline, recording)?;
        if is_whole {
            fencing.drained();
        }
        Ok(is_whole)
    };
    tokio::select! {
        ended = both(loading, off_the_runtime(move || reader.run())) => ended,
        fault = keeper.keep(config.source.clone()) => Err(fault),
    }
}

/// Bytes of the configured buffer that batches may hold.
fn batch_buffer(buffer: usize) -> usize {
    buffer - (RESERVED + buffer / OVERHEAD_DIVISOR).min(buffer / 2)
}

/// A router for tables whose targets have columns for these shapes.
fn router(tables: &[Table], targets: &Targets, visibility: Visibility) -> Router {
    let history = |table: &Table| (table.clone(), targets.history(table.id).cloned().unwrap_or_default());
    Router::new(tables.iter().map(history), visibility)
}

/// Tables that are not loaded from the start of the session.
struct BlockedTables {
    halted: Vec<(TableId, Fault)>,
    /// Their targets are still being changed.
    unfinished: Vec<(TableId, Arc<Aim>)>,
}

/// Runs the pipeline of the configured consistency until the blocks end; returns whether everything in them is
/// durable.
async fn load(
    config: &JobConfig,
    inputs: Inputs<'_>,
    BlockedTables { halted, unfinished }: BlockedTables,
    grant: LoadGrant,
    (blocks, copies, known): (mpsc::Receiver<ReceivedBlock>, SessionCopies, Option<pipeline::Copies>),
    resume: &mut Resume,
    tenure: Tenure,
) -> Result<bool, Fault> {
    match config.sink.consistency {
        Consistency::Row => {
            let progress = Arc::clone(&inputs.progress);
            let load = Arc::new(copies.filling(grant.loader(), config, &progress));
            let pipeline =
                Pipeline::new(inputs, Arc::clone(&load)).telling(resume.read_again()).beside(known);
            let pipeline = pipeline.resuming(&resume.take(tenure)).halting(halted).awaiting(unfinished);
            let mut copying = JoinSet::new();
            copying.spawn(copies.run(load, config.clone(), progress));
            let (positions, is_whole) = pipeline.run(blocks).await;
            resume.keep(tenure, positions);
            Ok(is_whole)
        }
        Consistency::Transaction => {
            let (reached, load) = (grant.reached, Arc::new(grant.transaction_loader(inputs.settings.buffer)));
            // Nothing of an incomplete transaction is loaded, so the end is always at a whole one.
            let progress = Arc::clone(&inputs.progress);
            let between = Arc::new(BetweenSteps(Arc::clone(&load)));
            let mut copying = JoinSet::new();
            copying.spawn(copies.run(between, config.clone(), progress));
            let inputs = Inputs { start: reached, ..inputs };
            TransactionPipeline::new(inputs, load).beside(known).run(blocks).await.map(|()| true)
        }
    }
}

/// Awaits pipeline and reader. The reader outlives the pipeline, to confirm the last durable position; it ends when
/// the pipeline has ended or was dropped, because that closes the `durable` watch.
async fn both(
    loading: impl Future<Output = Result<bool, Fault>>,
    reading: impl Future<Output = Result<(), Fault>>,
) -> Result<bool, Fault> {
    let (mut loading, mut reading) = (pin!(loading), pin!(reading));
    tokio::select! {
        loaded = &mut loading => {
            let read = reading.await;
            loaded.and_then(|is_whole| read.map(|()| is_whole))
        }
        read = &mut reading => {
            // Without the slot no load begins; loads in flight may still complete and are recorded.
            let loaded = timeout(IN_FLIGHT_LIMIT, loading).await;
            read.map(|()| matches!(loaded, Ok(Ok(true))))
        }
    }
}

async fn closed(mut intake: watch::Receiver<Intake>) {
    // A dropped sender means the supervisor has shut down.
    let _ = intake.wait_for(|intake| *intake == Intake::Closed).await;
}
