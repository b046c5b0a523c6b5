//! A reader at one end and a pipeline at the other, until the intake is closed or one of them ends by a fault.
//!
//! ```text
//!           blocks                          noted first
//! reader ═════════► pipeline ──durable──► right ──confirmable──► reader
//!    └─────hold───────▲
//! ```

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    load_permit::{Keeper, note, right_to_load},
    off_the_runtime,
    resume::Resume,
};
use crate::{
    change::{Aim, ReceivedBlock, Room, channel},
    config::{BatchConfig, Consistency, JobConfig},
    fault::Fault,
    pipeline::{Inputs, Pipeline, Settings, TransactionPipeline},
    postgres::{Intake, Prepared, Reader, ReaderEnds, Router, Visibility},
    progress::{Progress, Stage},
    slot_lease::{SlotHold, SlotLease},
    starrocks::{Fencing, LoadGrant, SlotIdentity, Targets, Tenure},
    table::{Table, TableId},
};

/// Between the reader and the pipeline: enough that neither waits for the other.
const CHANNEL: usize = 1 << 20;
/// The channel, what stands before it, and pieces of bodies behind the lanes: they count as the buffer's.
const BETWEEN: usize = 2 << 20;
/// For what is in the air when the slot is lost for good: it is noted then.
const LANDING: Duration = Duration::from_secs(20);
/// The process holds more than batches count, as measured with forty tables: one of so many parts of the buffer.
const PARTS: usize = 6;

/// Says whether everything that was received is durable.
pub(super) async fn stream(
    config: &JobConfig,
    (prepared, mut targets): (Prepared, Targets),
    intake: watch::Receiver<Intake>,
    batch: watch::Receiver<BatchConfig>,
    progress: &Arc<Progress>,
    fencing: &mut Fencing,
    resume: &mut Resume,
) -> Result<bool, Fault> {
    let Prepared { tables, holds_wal, confirmed: start, system_identifier, visibility, .. } = prepared;
    let (blocks, taken) = channel(CHANNEL);
    let buffer = gathering(config.buffer);
    let blocks = blocks.with_room_behind(Room { buffer, memory: config.memory });
    let (durable, made_durable) = watch::channel(start);
    let (noted, confirmable) = watch::channel(start);
    let (hold, held) = watch::channel(SlotHold::Sought);
    let ends = ReaderEnds { blocks, durable: confirmable, intake: intake.clone(), hold };
    let router = router(&tables, &targets, visibility);
    let reader = Reader::new(config.source.clone(), router, start, ends, Arc::clone(progress));
    let slot = SlotIdentity { system_identifier, slot: config.source.slot.clone() };
    let deletes = config.sink.deletes;
    let settings = Settings { batch, buffer, deletes, holds_wal };
    let outset = Inputs { settings, tables: &tables, start, durable, progress: Arc::clone(progress) };
    let mut halted = std::mem::take(&mut targets.halted);
    let unfinished = std::mem::take(&mut targets.unfinished);
    let (lease, permit) = SlotLease::new();
    let keeper = Keeper::new(lease, Arc::clone(progress));
    fencing.load_by(permit);
    let loading = async {
        let grant = tokio::select! {
            grant = right_to_load(fencing, slot, start, held.clone(), &keeper) => grant,
            () = closed(intake) => None,
        };
        // Otherwise nothing was loaded, and nothing is left to do.
        let Some((grant, won_in)) = grant else { return Ok(true) };
        let shared = grant.keep_all(&targets, &tables).await?;
        match shared.first() {
            // A transaction cannot be followed without one of its tables.
            Some((_, fault)) if config.sink.consistency == Consistency::Transaction => {
                return Err(fault.clone());
            }
            _ => halted.extend(shared),
        }
        progress.set_stage(Stage::Cdc);
        let tenure = fencing.tenure();
        tables.iter().filter(|table| targets.is_new(table.id)).for_each(|table| resume.forget(&table.name));
        let pipeline = load(
            config.sink.consistency,
            outset,
            NotYet { halted, unfinished },
            grant,
            taken,
            resume,
            tenure,
        );
        let noting = note(fencing, made_durable, noted, held, &keeper, won_in);
        let (is_whole, ()) = tokio::try_join!(pipeline, noting)?;
        if is_whole {
            fencing.drained();
        }
        Ok(is_whole)
    };
    tokio::select! {
        ended = both(loading, off_the_runtime(move || reader.run())) => ended,
        () = keeper.keep(config.source.clone()) => Ok(false),
    }
}

/// As much as may be gathered.
fn gathering(buffer: usize) -> usize {
    buffer - (BETWEEN + buffer / PARTS).min(buffer / 2)
}

/// Of tables whose targets have columns for these shapes.
fn router(tables: &[Table], targets: &Targets, visibility: Visibility) -> Router {
    let history = |table: &Table| (table.clone(), targets.history(table.id).cloned().unwrap_or_default());
    Router::new(tables.iter().map(history), visibility)
}

/// Tables that do not flow from the beginning.
struct NotYet {
    halted: Vec<(TableId, Fault)>,
    /// Their targets are still being changed.
    unfinished: Vec<(TableId, Arc<Aim>)>,
}

/// Runs the pipeline that the job asks for, until the blocks end; says whether everything in them is durable then.
async fn load(
    consistency: Consistency,
    outset: Inputs<'_>,
    NotYet { halted, unfinished }: NotYet,
    grant: LoadGrant,
    blocks: mpsc::Receiver<ReceivedBlock>,
    resume: &mut Resume,
    tenure: Tenure,
) -> Result<bool, Fault> {
    match consistency {
        Consistency::Row => {
            let load = Arc::new(grant.loader());
            let pipeline = Pipeline::new(outset, load).telling(resume.read_again());
            let pipeline = pipeline.resuming(&resume.take(tenure)).halting(halted).awaiting(unfinished);
            let (positions, is_whole) = pipeline.run(blocks).await;
            resume.keep(tenure, positions);
            Ok(is_whole)
        }
        Consistency::Transaction => {
            let (reached, load) = (grant.reached, Arc::new(grant.together(outset.settings.buffer)));
            // Of a transaction that was cut, nothing is loaded.
            TransactionPipeline::new(Inputs { start: reached, ..outset }, load)
                .run(blocks)
                .await
                .map(|()| true)
        }
    }
}

/// The reader outlives the pipeline, to confirm what it made durable last; it ends when the pipeline
/// has ended or was dropped, because that closes the watch.
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
            // Without the slot nothing more is sent; what is in the air then is noted.
            let loaded = timeout(LANDING, loading).await;
            read.map(|()| matches!(loaded, Ok(Ok(true))))
        }
    }
}

async fn closed(mut intake: watch::Receiver<Intake>) {
    // A supervisor that is gone has closed it.
    let _ = intake.wait_for(|intake| *intake == Intake::Closed).await;
}
