//! Runs sessions, one after the other, until the intake is closed.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use tracing::{error, info, warn};

use super::{
    off_the_runtime,
    resume::Resume,
    session::{self, InTheWay, Outcome},
};
use crate::{
    config::{BatchConfig, JobConfig},
    fault::{Fault, Part},
    postgres::{Intake, slot::health},
    progress::Progress,
    starrocks::Fencing,
    table::TableName,
};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_secs(30);
const BEFORE_THE_SLOT: Duration = Duration::from_secs(3);

/// Ends when the intake is closed and nothing is left to do; says whether everything received is durable.
pub(super) async fn run(
    config: JobConfig,
    mut intake: watch::Receiver<Intake>,
    batch: watch::Receiver<BatchConfig>,
    tables: watch::Receiver<Vec<TableName>>,
    progress: Arc<Progress>,
) -> bool {
    let JobConfig { sink, job, state_directory, .. } = config.clone();
    let mut fencing = Fencing::new(sink, job, state_directory, Arc::clone(&progress));
    let is_whole = tokio::select! {
        is_whole = until_closed(&config, &mut intake, &batch, tables, &progress, &mut fencing) => is_whole,
        () = look_at_the_slot(&config, &progress) => false,
    };
    fencing.end().await;
    is_whole
}

/// Keeps an eye on what the slot's WAL is worth, also while the stream is down. Never ends by itself.
async fn look_at_the_slot(config: &JobConfig, progress: &Progress) {
    loop {
        let source = config.source.clone();
        // When it cannot be asked, the stream reports that, and what was seen before is old.
        let seen = off_the_runtime(move || health::look(&source)).await.unwrap_or_default();
        let pause = if seen.is_some() { BETWEEN_LOOKS } else { BEFORE_THE_SLOT };
        if progress.slot_seen(seen) {
            warn!(slot = %config.source.slot, "PostgreSQL may soon remove WAL that the slot needs");
        }
        sleep(pause).await;
    }
}

async fn until_closed(
    config: &JobConfig,
    intake: &mut watch::Receiver<Intake>,
    batch: &watch::Receiver<BatchConfig>,
    mut tables: watch::Receiver<Vec<TableName>>,
    progress: &Arc<Progress>,
    fencing: &mut Fencing,
) -> bool {
    let mut pause = FIRST_PAUSE;
    let mut config = config.clone();
    let mut resume = Resume::default();
    while *intake.borrow() != Intake::Closed {
        config.source.tables.clone_from(&tables.borrow_and_update());
        match session::run(&config, intake.clone(), batch, &tables, progress, fencing, &mut resume).await {
            Ok(Outcome::Drained { is_whole }) => return is_whole,
            Ok(Outcome::Again) => continue,
            Err(InTheWay::Part(fault)) => report(progress, fault),
            Err(InTheWay::Tables(faults)) => report_all(progress, faults),
        }
        tokio::select! {
            () = sleep(pause) => {}
            Ok(()) = tables.changed() => {}
            _ = intake.wait_for(|intake| *intake == Intake::Closed) => return false,
        }
        // However grave, the cause may be mended from outside: a session costs little, so it is tried again.
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    false
}

/// Both ends were reached, and nothing can be followed: what was known of them before is old.
fn report_all(progress: &Progress, faults: Vec<Fault>) {
    progress.set_streaming(false);
    let news = progress.raise_only(faults);
    for fault in &news {
        error!(reason = %fault.reason, fix = %fault.fix, "{}", fault.message);
    }
    if news.is_empty() {
        info!("every table still stands still");
    }
}

fn report(progress: &Progress, fault: Fault) {
    progress.set_streaming(false);
    if fault.part != Part::Source {
        // The set-up of the source was passed: what is known of it is old.
        progress.clear(&Part::Source);
    }
    if progress.raise(fault.clone()) {
        error!(reason = %fault.reason, fix = %fault.fix, "{}", fault.message);
    } else {
        info!(reason = %fault.reason, "still not replicating");
    }
}
