//! One stretch of replication: set up both ends, then stream until the intake is closed or a fault ends it.

use std::{pin::pin, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tracing::info;

use super::off_the_runtime;
use crate::{
    change::Block,
    config::JobConfig,
    fault::Fault,
    hold::{GRACE, Hold, Right},
    pipeline::{Pipeline, Settings},
    postgres::{self, Intake, Prepared, Reader, ReaderEnds},
    progress::{Progress, Stage},
    starrocks::{self, Loader, SlotIdentity, Takeover},
    table::TableId,
};

/// Blocks between the reader and the pipeline: enough that neither waits for the other, and little
/// beside the buffer.
const BLOCKS: usize = 8;

/// Streams until the intake is closed and everything received is durable and confirmed.
pub(super) async fn run(
    config: &JobConfig,
    intake: watch::Receiver<Intake>,
    progress: &Arc<Progress>,
    takeover: &mut Takeover,
) -> Result<(), Fault> {
    progress.set_stage(Stage::Setup);
    let (prepared, halted) = prepare(config, progress).await?;
    progress.clear_all();
    progress.set_stage(Stage::Cdc);
    info!(job = %config.job, slot = %config.source.slot, lsn = %prepared.confirmed, "streaming began");
    stream(config, prepared, halted, intake, progress, takeover).await
}

/// Tables that stand still from the start, and why.
type Halted = Vec<(TableId, Fault)>;

async fn prepare(config: &JobConfig, progress: &Progress) -> Result<(Prepared, Halted), Fault> {
    let source = config.source.clone();
    let prepared = off_the_runtime(move || postgres::prepare(&source)).await?;
    progress.clear(&crate::fault::Part::Source);
    let halted = starrocks::prepare(&config.sink, &prepared.tables).await?;
    Ok((prepared, halted))
}

async fn stream(
    config: &JobConfig,
    prepared: Prepared,
    halted: Halted,
    intake: watch::Receiver<Intake>,
    progress: &Arc<Progress>,
    takeover: &mut Takeover,
) -> Result<(), Fault> {
    let Prepared { tables, confirmed: start, system_identifier, .. } = prepared;
    let slot = SlotIdentity { system_identifier, slot: config.source.slot.clone() };
    let (blocks, taken) = mpsc::channel::<Block>(BLOCKS);
    let (durable, confirmable) = watch::channel(start);
    let (hold, held) = watch::channel(Hold::Sought);
    let settings = Settings { batch: config.batch, buffer: config.buffer, deletes: config.sink.deletes };
    let board = Arc::clone(progress);
    let (closing, reached) = (intake.clone(), confirmable.clone());
    let pipeline = |loader| Pipeline::new(settings, &tables, start, Arc::new(loader), durable, board);
    let loading = async {
        let loader = tokio::select! {
            loader = right_to_load(takeover, slot, Right::new(held)) => loader,
            // Nothing was loaded, so nothing is left to do.
            () = closed(closing) => return,
        };
        pipeline(loader).halting(halted).run(taken).await;
        takeover.reached(*reached.borrow());
    };
    let ends = ReaderEnds { blocks, durable: confirmable, intake, hold };
    let reader = Reader::new(config.source.clone(), tables.clone().into(), start, ends, Arc::clone(progress));
    // The reader outlives the pipeline, to confirm what it made durable last; it ends when the pipeline
    // has ended or was dropped, because that closes the watch.
    let (mut loading, mut reading) = (pin!(loading), pin!(off_the_runtime(move || reader.run())));
    tokio::select! {
        () = &mut loading => reading.await,
        read = &mut reading => {
            // Without the slot nothing more is sent; what is in the air then is noted.
            let _ = timeout(GRACE, loading).await;
            read
        }
    }
}

/// Resolves when the slot is ours and nothing of a predecessor can commit any more.
async fn right_to_load(takeover: &mut Takeover, slot: SlotIdentity, right: Right) -> Loader {
    right.granted().await;
    takeover.run(slot).await.with_right(right)
}

async fn closed(mut intake: watch::Receiver<Intake>) {
    // A desk that is gone has closed it.
    let _ = intake.wait_for(|intake| *intake == Intake::Closed).await;
}
