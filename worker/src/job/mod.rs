//! Owns every task of a worker; holds no data.
//!
//! ```text
//! control ──requests──► supervisor ──intake──► session loop: session, session, …  (each: set up, then stream: reader ─► pipeline)
//! signals ──────────────┘
//! ```
//!
//! The supervisor turns requests and signals into the state of the intake, which the session loop reads: open, paused
//! or closed. The session loop starts a new session after every fault. The replication slot is kept, unless a request
//! to stop the job asks to drop it. The record of prior runs is released only when the job itself is deleted.

mod anew;
mod completion;
mod copies;
mod halt_watch;
mod lease_keeper;
mod relay;
mod requests;
mod resume;
mod session;
mod session_loop;
mod slot_lost;
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

/// Capacity of the request channel; the supervisor answers most requests at once.
const REQUESTS: usize = 16;

/// Limit for each statement sequence on the job's row in `dbmazz_jobs` when the job ends.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);

/// Runs a job until SIGTERM or SIGINT, and then drains it.
pub async fn run(config: JobConfig) -> anyhow::Result<()> {
    let progress = Arc::new(Progress::new(&config.source.tables));
    let (requests, requested) = mpsc::channel(REQUESTS);
    let stop = CancellationToken::new();
    // Control listens before any connection is made, so that faults of the setup can be queried.
    let info = JobInfo::of(&config);
    let server = control::serve(&config.listen, Arc::clone(&progress), requests, info, stop.clone()).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run());
    let ended = supervisor::run(config, progress, requested).await;
    stop.cancel();
    tasks.join_all().await;
    ended
}

/// What is removed when a job ends for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) objects: DropObjects,
    /// The job is deleted: a new job of the same name may begin without prior runs.
    pub(crate) release_past: bool,
}

impl Removal {
    /// Whether the slot is dropped and the job stays.
    fn loses_changes(self) -> bool {
        self.objects.slot && !self.release_past
    }
}

/// Drops what a deleted job created in the source, and releases its record of prior runs.
pub async fn cleanup(config: JobConfig, objects: DropObjects) -> Result<(), Fault> {
    remove(Arc::new(Progress::new(&[])), config, Removal { objects, release_past: true }).await
}

/// Releases the record of prior runs last: a job whose slot still exists, or whose slot was dropped while the job
/// stays, must not begin as a new one. Safe to repeat.
async fn remove(progress: Arc<Progress>, config: JobConfig, removal: Removal) -> Result<(), Fault> {
    let Removal { objects, release_past } = removal;
    let source = config.source.clone();
    off_the_runtime(move || postgres::drop_objects(&source, objects)).await?;
    if objects.slot && release_past {
        release(progress, config).await;
    }
    Ok(())
}

/// A failure is only logged: the slot, which makes the source keep WAL, is dropped already. A later job of this name
/// then halts with the remedy.
async fn release(progress: Arc<Progress>, config: JobConfig) {
    let JobConfig { job, source, sink, .. } = config;
    let fencing = Fencing::new(sink, job, None, progress);
    match timeout(RELEASE_LIMIT, fencing.release(&source.slot)).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => {
            warn!(slot = %source.slot, error = %fault, "could not mark the job's row in dbmazz_jobs as released")
        }
        Err(_) => {
            warn!(slot = %source.slot, "could not mark the job's row in dbmazz_jobs as released: no answer in time")
        }
    }
}

/// Keys of the rows that a person deletes to begin anew; empty when StarRocks does not answer in time.
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
            format!("a thread of the worker panicked or was cancelled: {defect}"),
            "report it with the worker's log; the worker tries again by itself",
        )),
    }
}
