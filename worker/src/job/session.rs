//! One stretch of replication: set up both ends, then stream until the intake is closed or a fault ends it.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tracing::info;

use super::off_the_runtime;
use crate::{
    change::Block,
    config::JobConfig,
    fault::Fault,
    pipeline::{Pipeline, Settings},
    postgres::{self, Intake, Prepared, Reader},
    progress::{Progress, Stage},
    starrocks::{self, Loader},
};

/// Blocks between the reader and the pipeline: enough that neither waits for the other, and little
/// beside the buffer.
const BLOCKS: usize = 8;

/// Streams until the intake is closed and everything received is durable and confirmed.
pub(super) async fn run(
    config: &JobConfig,
    intake: watch::Receiver<Intake>,
    progress: &Arc<Progress>,
) -> Result<(), Fault> {
    progress.set_stage(Stage::Setup);
    let prepared = prepare(config, progress).await?;
    progress.clear_all();
    progress.set_stage(Stage::Cdc);
    info!(job = %config.job, slot = %config.source.slot, lsn = %prepared.confirmed, "streaming began");
    stream(config, prepared, intake, progress).await
}

async fn prepare(config: &JobConfig, progress: &Progress) -> Result<Prepared, Fault> {
    let source = config.source.clone();
    let prepared = off_the_runtime(move || postgres::prepare(&source)).await?;
    progress.clear(&crate::fault::Part::Source);
    starrocks::prepare(&config.sink, &prepared.tables).await?;
    Ok(prepared)
}

async fn stream(
    config: &JobConfig,
    prepared: Prepared,
    intake: watch::Receiver<Intake>,
    progress: &Arc<Progress>,
) -> Result<(), Fault> {
    let Prepared { tables, confirmed: start, .. } = prepared;
    let (blocks, taken) = mpsc::channel::<Block>(BLOCKS);
    let (durable, confirmable) = watch::channel(start);
    let loader = Arc::new(Loader::new(config.sink.clone(), config.job.clone(), Arc::clone(progress)));
    let settings = Settings { batch: config.batch, buffer: config.buffer, deletes: config.sink.deletes };
    let pipeline = Pipeline::new(settings, &tables, start, loader, durable, Arc::clone(progress));
    let reader = Reader::new(
        config.source.clone(),
        tables.into(),
        start,
        blocks,
        confirmable,
        intake,
        Arc::clone(progress),
    );
    // The reader outlives the pipeline, to confirm what it made durable last; it ends when the pipeline
    // has ended or was dropped, because that closes the watch.
    let reading = off_the_runtime(move || reader.run());
    let ((), read) = tokio::join!(pipeline.run(taken), reading);
    read
}
