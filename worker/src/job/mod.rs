//! Owns every task of a worker, and holds no data.
//!
//! ```text
//! control ──requests──► supervisor ──intake──► session loop: session, session, …  (each: set up, then stream: reader ─► pipeline)
//! signals ──────────────┘
//! ```
//!
//! The supervisor turns requests and signals into what the session loop reads: open, paused or closed intake. The
//! session loop tries again after every fault. Whatever happens, the replication slot stays, unless the job
//! is asked to stop and to drop it. Its past is released only when the job itself is deleted.

mod drift;
mod halt_watch;
mod load_permit;
mod look;
mod resume;
mod session;
mod session_loop;
mod stream;
mod supervisor;

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
    starrocks::Fencing,
};

/// Requests wait for the supervisor, which answers most of them at once.
const REQUESTS: usize = 16;

/// To say in StarRocks that the job is deleted.
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
    let ended = supervisor::run(config, progress, requested).await;
    stop.cancel();
    tasks.join_all().await;
    ended
}

/// What a job takes along when it ends for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) objects: DropObjects,
    /// The job is deleted: one of its name may begin anew.
    pub(crate) release_past: bool,
}

impl Removal {
    /// The slot goes and the job stays.
    fn loses_changes(self) -> bool {
        self.objects.slot && !self.release_past
    }
}

/// Drops what the job created in the source, and releases its past: for a job that is gone.
pub async fn cleanup(config: JobConfig, objects: DropObjects) -> Result<(), Fault> {
    remove(Arc::new(Progress::new(&[])), config, Removal { objects, release_past: true }).await
}

/// The past is released last: a job whose slot is still there, or whose slot went while it lives, must not begin
/// anew. What is asked for again is done again.
async fn remove(progress: Arc<Progress>, config: JobConfig, removal: Removal) -> Result<(), Fault> {
    let Removal { objects, release_past } = removal;
    let source = config.source.clone();
    off_the_runtime(move || postgres::drop_objects(&source, objects)).await?;
    if objects.slot && release_past {
        release(progress, config).await;
    }
    Ok(())
}

/// What fills the source's disk is gone in any case. When this fails, a job of this name says what to do.
async fn release(progress: Arc<Progress>, config: JobConfig) {
    let JobConfig { job, source, sink, .. } = config;
    let fencing = Fencing::new(sink, job, None, progress);
    match timeout(RELEASE_LIMIT, fencing.release(&source.slot)).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => warn!(slot = %source.slot, error = %fault, "the job's past stays in StarRocks"),
        Err(_) => warn!(slot = %source.slot, "the job's past stays in StarRocks, which did not answer"),
    }
}

/// What a person deletes to begin anew; none when StarRocks does not say in time.
async fn claims(progress: &Arc<Progress>, config: &JobConfig) -> Vec<String> {
    let JobConfig { job, source, sink, .. } = config.clone();
    let fencing = Fencing::new(sink, job, None, Arc::clone(progress));
    let claims = timeout(RELEASE_LIMIT, fencing.claims(&source.slot)).await;
    claims.ok().and_then(Result::ok).unwrap_or_default()
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
