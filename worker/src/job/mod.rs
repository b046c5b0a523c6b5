//! Owns every task of a worker, and holds no data.
//!
//! ```text
//! control ──requests──► desk ──intake──► engine: session, session, …  (each: set up, then stream: reader ─► pipeline)
//! signals ──────────────┘
//! ```
//!
//! The desk turns requests and signals into what the engine reads: open, paused or closed intake. The
//! engine tries again after every fault. Whatever happens, the replication slot stays, unless the job
//! is asked to stop and to drop it.

mod desk;
mod engine;
mod mend;
mod right;
mod session;
mod stream;

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    config::JobConfig,
    control::{self, JobInfo},
    fault::Fault,
    postgres::{self, DropObjects},
    progress::Progress,
    starrocks::Takeover,
};

/// Requests wait for the desk, which answers most of them at once.
const REQUESTS: usize = 16;

/// To say in StarRocks that the slot is dropped on request.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);

/// Runs a job until it is told to end: by SIGTERM or SIGINT, after a drain.
pub async fn run(config: JobConfig) -> anyhow::Result<()> {
    let progress = Arc::new(Progress::new(&config.source.tables));
    let (requests, requested) = mpsc::channel(REQUESTS);
    let stop = CancellationToken::new();
    // Control listens before any connection is made, so that a fault of the set-up can be read.
    let info = JobInfo::of(&config);
    let server = control::serve(&config.listen, Arc::clone(&progress), requests, info, stop.clone()).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run());
    let ended = desk::run(config, progress, requested).await;
    stop.cancel();
    tasks.join_all().await;
    ended
}

/// Drops what the job created in the source: for a job that is gone.
pub async fn cleanup(config: JobConfig, objects: DropObjects) -> Result<(), Fault> {
    drop_objects(Arc::new(Progress::new(&[])), config, objects).await
}

/// The past is released first: with the slot still there that loses nothing, and without it a job of this name
/// could not begin anew.
async fn drop_objects(progress: Arc<Progress>, config: JobConfig, objects: DropObjects) -> Result<(), Fault> {
    let JobConfig { job, source, sink, .. } = config;
    if objects.slot {
        let takeover = Takeover::new(sink, job, None, progress);
        match timeout(RELEASE_LIMIT, takeover.release(&source.slot)).await {
            Ok(Ok(())) => {}
            // What fills the source's disk goes in any case; a job of this name then says what to do.
            Ok(Err(fault)) => warn!(slot = %source.slot, error = %fault, "the job's past stays in StarRocks"),
            Err(_) => warn!(slot = %source.slot, "the job's past stays in StarRocks, which did not answer"),
        }
    }
    off_the_runtime(move || postgres::drop_objects(&source, objects)).await
}

/// Runs blocking work on a thread of its own, and waits for it.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(defect) => Err(Fault::retry(
            crate::fault::Part::Job,
            crds::Reason::InternalDefect,
            format!("a thread of the worker ended by a defect: {defect}"),
            "report it with the worker's log; the worker tries again by itself",
        )),
    }
}
