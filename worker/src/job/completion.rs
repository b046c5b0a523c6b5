//! The end of a job that copies its tables once (`mode: Only`): when every table has every row, it drains, records that it
//! is complete, and drops its slot, which would keep WAL for ever.
//!
//! The record comes before the slot goes: a worker that finds it does nothing more, and one that finds neither record nor
//! slot halts as after any lost slot.

use std::sync::Arc;

use tokio::time::timeout;

use super::{RELEASE_LIMIT, off_the_runtime};
use crate::{
    config::JobConfig,
    fault::{Fault, Part},
    postgres::{self, DropObjects},
    prior_run::{End, PriorRun},
    progress::{Progress, Stage, State},
    starrocks::Fencing,
};

/// Whether the job is one that copies once, and every table has every row.
pub(super) fn is_due(config: &JobConfig, progress: &Progress) -> bool {
    let view = progress.view();
    let runs = view.state == State::Running && view.stage == Stage::Cdc;
    config.snapshot.only && runs && view.is_whole() && view.faults.is_empty()
}

/// Whether an earlier worker has recorded that the job is complete.
pub(super) fn is_recorded(config: &JobConfig, prior_runs: &[PriorRun]) -> bool {
    config.snapshot.only && prior_runs.iter().any(|prior_run| prior_run.end == End::Completed)
}

/// Records it and drops the slot. The publication stays: it keeps nothing back. Safe to repeat.
pub(super) async fn complete(config: &JobConfig, progress: &Arc<Progress>) -> Result<(), Fault> {
    let JobConfig { job, source, sink, .. } = config.clone();
    let fencing = Fencing::new(sink, job, None, Arc::clone(progress));
    let recorded = timeout(RELEASE_LIMIT, fencing.complete(&source.slot)).await;
    recorded.unwrap_or_else(|_| Err(unanswered()))?;
    off_the_runtime(move || postgres::drop_objects(&source, DropObjects { slot: true, publication: false }))
        .await
}

fn unanswered() -> Fault {
    Fault::retry(
        Part::Sink,
        crds::Reason::SinkUnreachable,
        "StarRocks did not take the record that every table is copied in time",
        "see that StarRocks runs; it is tried again",
    )
}
