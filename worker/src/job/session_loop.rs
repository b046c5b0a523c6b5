//! Runs sessions, one after the other, until the intake is closed.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use tracing::{error, info, warn};

use super::{
    off_the_runtime,
    requests::Inputs,
    resume::Resume,
    session::{self, Blocked, Outcome},
};
use crate::{
    backoff::Backoff,
    config::JobConfig,
    fault::{Fault, Part},
    postgres::{Intake, slot::health},
    progress::Progress,
    starrocks::Fencing,
};

/// Poll interval of the slot's health, and while there is no slot.
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
const HEALTH_INTERVAL_WITHOUT_SLOT: Duration = Duration::from_secs(3);

/// Ends when the intake is closed and nothing is left to do; returns whether everything received is durable.
pub(super) async fn run(
    config: JobConfig,
    mut intake: watch::Receiver<Intake>,
    inputs: Inputs,
    progress: Arc<Progress>,
) -> bool {
    let JobConfig { sink, job, state_directory, .. } = config.clone();
    let mut fencing = Fencing::new(sink, job, state_directory, Arc::clone(&progress));
    let is_whole = tokio::select! {
        is_whole = until_closed(&config, &mut intake, inputs, &progress, &mut fencing) => is_whole,
        () = watch_slot_health(&config, &progress) => false,
    };
    fencing.end().await;
    is_whole
}

/// Polls the slot's health, also while the stream is down. Never returns.
async fn watch_slot_health(config: &JobConfig, progress: &Progress) {
    loop {
        let source = config.source.clone();
        // An unreachable source is reported by the stream; earlier health is outdated then.
        let seen = off_the_runtime(move || health::look(&source)).await.unwrap_or_default();
        let pause = if seen.is_some() { HEALTH_INTERVAL } else { HEALTH_INTERVAL_WITHOUT_SLOT };
        if progress.slot_seen(seen) {
            warn!(slot = %config.source.slot, "PostgreSQL may soon remove WAL that the slot needs");
        }
        sleep(pause).await;
    }
}

async fn until_closed(
    config: &JobConfig,
    intake: &mut watch::Receiver<Intake>,
    mut inputs: Inputs,
    progress: &Arc<Progress>,
    fencing: &mut Fencing,
) -> bool {
    let mut attempts = 0_u32;
    let mut config = config.clone();
    let mut resume = Resume::default();
    while *intake.borrow() != Intake::Closed {
        config.source.tables.clone_from(&inputs.tables.borrow_and_update());
        match session::run(&config, intake.clone(), &inputs, progress, fencing, &mut resume).await {
            Ok(Outcome::Drained { is_whole }) => return is_whole,
            Ok(Outcome::Completed) => return true,
            Ok(Outcome::Restart) => continue,
            Err(Blocked::Part(fault)) => report(progress, fault),
            Err(Blocked::Tables(faults)) => report_all(progress, faults),
        }
        // Also after a halt: the cause may have been removed, and an attempt costs little.
        attempts = attempts.saturating_add(1);
        tokio::select! {
            () = sleep(Backoff::SESSION.wait(attempts, &config.source.slot)) => {}
            Ok(()) = inputs.tables.changed() => {}
            () = inputs.requests.come() => {}
            _ = intake.wait_for(|intake| *intake == Intake::Closed) => return false,
        }
    }
    false
}

/// Both ends were reached, and no table can be replicated: earlier faults of the ends are outdated.
fn report_all(progress: &Progress, faults: Vec<Fault>) {
    progress.set_streaming(false);
    let news = progress.raise_only(faults);
    for fault in &news {
        error!(reason = %fault.reason, fix = %fault.fix, "{}", fault.message);
    }
    if news.is_empty() {
        info!("every table is still halted");
    }
}

fn report(progress: &Progress, fault: Fault) {
    progress.set_streaming(false);
    if fault.part != Part::Source {
        // The setup of the source succeeded: an earlier fault of it is outdated.
        progress.clear(&Part::Source);
    }
    if progress.raise(fault.clone()) {
        error!(reason = %fault.reason, fix = %fault.fix, "{}", fault.message);
    } else {
        info!(reason = %fault.reason, "still not replicating");
    }
}
