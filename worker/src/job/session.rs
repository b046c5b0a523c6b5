//! One stretch of replication: set up both ends, then stream until the intake is closed or a fault ends it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::sync::{Notify, watch};
use tracing::{error, info};

use super::{
    mend::{Relay, Still},
    off_the_runtime,
    resume::Resume,
    stream::stream,
};
use crate::{
    config::{BatchConfig, Consistency, JobConfig},
    fault::{Fault, Part},
    postgres::{self, Intake, Prepared},
    progress::{Progress, Stage},
    starrocks::{self, Takeover, Targets},
    table::TableName,
};

/// Streams until the intake is closed or a table was mended, and then until everything received is durable and confirmed.
pub(super) async fn run(
    config: &JobConfig,
    intake: watch::Receiver<Intake>,
    batch: &watch::Receiver<BatchConfig>,
    selected: &watch::Receiver<Vec<TableName>>,
    progress: &Arc<Progress>,
    takeover: &mut Takeover,
    resume: &mut Resume,
) -> Result<Outcome, Fault> {
    progress.set_stage(Stage::Setup);
    let (prepared, targets) = prepare(config, progress, takeover).await?;
    progress.clear_all();
    for fault in &prepared.refused {
        progress.raise(fault.clone());
        error!(reason = %fault.reason, fix = %fault.fix, "{}", fault.message);
    }
    info!(job = %config.job, slot = %config.source.slot, lsn = %prepared.confirmed, "streaming began");
    let relay = Relay::new(&intake);
    let (closing, again) = (relay.seen.subscribe(), Arc::clone(&relay.again));
    let (refused, halted) = (prepared.refused.clone(), targets.halted.len());
    let still = Still { config, progress, refused, halted, tables: prepared.tables.clone() };
    let another = another(still, selected.clone(), resume.read_again());
    tokio::select! {
        ended = stream(config, (prepared, targets), closing, batch.clone(), progress, takeover, resume) => ended?,
        () = relay.run(intake, another) => {}
    }
    Ok(if again.load(Relaxed) { Outcome::Again } else { Outcome::Drained })
}

/// Resolves when another session has something to do that this one cannot.
async fn another(still: Still<'_>, mut selected: watch::Receiver<Vec<TableName>>, read_again: Arc<Notify>) {
    tokio::select! {
        () = read_again.notified() => {}
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
    progress.clear(&Part::Source);
    let targets = starrocks::prepare(&config.sink, &config.job, &prepared.tables).await?;
    let mut in_the_way = prepared.refused.iter().chain(targets.halted.iter().map(|(_, fault)| fault));
    match in_the_way.next() {
        // A transaction cannot be followed without one of its tables.
        Some(fault) if config.sink.consistency == Consistency::Transaction => Err(fault.clone()),
        _ => Ok((prepared, targets)),
    }
}
