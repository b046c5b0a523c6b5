//! One stretch of replication: set up both ends, then stream until the intake is closed or a fault ends it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

use super::{drift, halt_watch::Relay, look::Look, off_the_runtime, resume::Resume, stream::stream};
use crate::{
    config::{BatchConfig, Consistency, JobConfig},
    fault::{Fault, Part},
    postgres::{self, Intake, Prepared, Setup},
    prior_run::PriorRun,
    progress::{Progress, Stage},
    schema_history::{Noted, SchemaHistory},
    starrocks::{self, Claimant, Fencing, SchemaHistories, SlotIdentity, Targets},
    table::TableName,
};

/// Streams until the intake is closed or a table was mended, and then until everything received is durable and confirmed.
pub(super) async fn run(
    config: &JobConfig,
    intake: watch::Receiver<Intake>,
    batch: &watch::Receiver<BatchConfig>,
    selected: &watch::Receiver<Vec<TableName>>,
    progress: &Arc<Progress>,
    fencing: &mut Fencing,
    resume: &mut Resume,
) -> Result<Outcome, InTheWay> {
    progress.set_stage(Stage::Setup);
    let (prepared, targets, noted) = prepare(config, progress, fencing).await?;
    progress.clear_all();
    for fault in &prepared.refused {
        progress.raise(fault.clone());
        error!(reason = %fault.reason, fix = %fault.fix, "{}", fault.message);
    }
    tell_whole(&prepared, &targets, progress);
    info!(job = %config.job, slot = %config.source.slot, lsn = %prepared.confirmed, "streaming began");
    let relay = Relay::new(&intake);
    let (closing, again) = (relay.seen.subscribe(), Arc::clone(&relay.again));
    let (refused, halted) = (prepared.refused.clone(), targets.halted.clone());
    let unfinished = targets.unfinished.iter().map(|(table, _)| *table).collect();
    let (claimant, tables) = (claimant(config, &prepared), prepared.tables.clone());
    let look = Look { config, claimant, progress, noted, refused, halted, unfinished, tables };
    let another = another(look, selected.clone(), resume.read_again());
    let mut config = config.clone();
    config.source.claims = vec![key_of(prepared.system_identifier, &config.source.slot)];
    let is_whole = tokio::select! {
        ended = stream(&config, (prepared, targets), closing, batch.clone(), progress, fencing, resume) => ended?,
        () = relay.run(intake, another) => false,
    };
    Ok(if again.load(Relaxed) { Outcome::Again } else { Outcome::Drained { is_whole } })
}

/// Resolves when another session has something to do that this one cannot.
async fn another(look: Look<'_>, mut selected: watch::Receiver<Vec<TableName>>, read_again: Arc<Notify>) {
    let config = look.config;
    tokio::select! {
        () = read_again.notified() => {}
        () = drift::seen(&config.source, look.tables.clone()) => {}
        () = look.found_something() => {}
        // Nobody will select others any more when it is closed.
        Ok(()) = selected.changed() => {}
    }
}

/// Why a session ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The intake was closed, and what can be loaded is confirmed; all that was received, or not.
    Drained { is_whole: bool },
    /// A table that stood still can be followed now, or the job has other tables.
    Again,
}

/// Why there is no session, or none any more.
#[derive(Debug)]
pub(super) enum InTheWay {
    Part(Fault),
    /// Tables without which there is nothing to follow: each with its own fault.
    Tables(Vec<Fault>),
}

impl From<Fault> for InTheWay {
    fn from(fault: Fault) -> Self {
        Self::Part(fault)
    }
}

async fn prepare(
    config: &JobConfig,
    progress: &Progress,
    fencing: &Fencing,
) -> Result<(Prepared, Targets, Noted), InTheWay> {
    let mut source = config.source.clone();
    // Before the slot is touched: a slot that is missing is made only for a job without a past.
    let prior_runs = fencing.prior_runs(&source.slot).await?;
    source.claims = prior_runs.iter().map(|prior_runs| key_of(prior_runs.system, &source.slot)).collect();
    // Without a past the histories are those of an earlier job of this name: they say nothing of this one.
    let begins = prior_runs.is_empty();
    let mut kept =
        if begins { SchemaHistories::new() } else { starrocks::known(&config.sink, &config.job).await? };
    // What a job of the same name keeps that reads another slot is not this job's.
    kept.retain(|_, history| is_of(history, &prior_runs, &source.slot));
    let noted = noted(&config.source.tables, &kept);
    let before = noted.clone();
    let setup = off_the_runtime(move || postgres::prepare_noted(&source, &prior_runs, &before)).await?;
    progress.clear(&Part::Source);
    let (prepared, exclusive) = match setup {
        Setup::Ready(prepared, exclusive) => (*prepared, exclusive),
        Setup::Refused(faults) => return Err(InTheWay::Tables(faults)),
    };
    let (tables, identities) = (&prepared.tables, &prepared.identities);
    let claimant = claimant(config, &prepared);
    // While no other worker can load: a column that is renamed under a load takes NULL in silence.
    let targets = starrocks::prepare(&config.sink, &claimant, tables, identities, begins).await;
    let release = move || {
        exclusive.release();
        Ok(())
    };
    off_the_runtime(release).await?;
    let mut targets = targets?;
    let selected: Vec<_> = config.source.tables.iter().map(TableName::target).collect();
    targets.leave(&kept, &claimant, |target| selected.iter().any(|name| name == target), prepared.confirmed);
    let in_the_way = in_the_way(&prepared, &targets);
    // A transaction cannot be followed without one of its tables.
    let in_one_step = config.sink.consistency == Consistency::Transaction;
    if targets.halted.len() == tables.len() || (in_one_step && !in_the_way.is_empty()) {
        return Err(InTheWay::Tables(in_the_way));
    }
    let noted = as_begun(&prepared, &targets, noted);
    Ok((prepared, targets, noted))
}

/// What is wrong with tables at either end.
fn in_the_way(prepared: &Prepared, targets: &Targets) -> Vec<Fault> {
    let halted = targets.halted.iter().map(|(_, fault)| fault);
    prepared.refused.iter().chain(halted).cloned().collect()
}

fn claimant(config: &JobConfig, prepared: &Prepared) -> Claimant {
    let slot =
        SlotIdentity { system_identifier: prepared.system_identifier, slot: config.source.slot.clone() };
    Claimant { job: config.job.clone(), slot }
}

/// Whether a history is of one of these pasts of the slot, as far as it tells.
fn is_of(history: &SchemaHistory, prior_runs: &[PriorRun], slot: &str) -> bool {
    let own = |prior_runs: &PriorRun| key_of(prior_runs.system, slot);
    history
        .owner
        .as_ref()
        .is_none_or(|owner| prior_runs.iter().any(|prior_runs| own(prior_runs) == owner.slot))
}

/// The key of the claim of a server's slot.
fn key_of(system_identifier: u64, slot: &str) -> String {
    SlotIdentity { system_identifier, slot: slot.to_owned() }.key()
}

/// What is kept of the selected tables.
fn noted(tables: &[TableName], kept: &SchemaHistories) -> Noted {
    let history = |name: &TableName| {
        let history = kept.get(&name.target())?;
        Some((name.clone(), history.source.clone()))
    };
    tables.iter().filter_map(history).collect()
}

/// Says of which tables the target may lack rows: those that were there before the job. A later change that leaves a
/// large value of such a row alone does not bring it.
fn tell_whole(prepared: &Prepared, targets: &Targets, progress: &Progress) {
    for table in &prepared.tables {
        let whole = targets.history(table.id).is_some_and(|history| history.whole == Some(true));
        progress.table_whole(&table.name, whole);
        if !whole {
            warn!(table = %table.name, "rows may have been there before the job began: they are not copied, and a change \
                of such a row that leaves a large value alone leaves it NULL in the target");
        }
    }
}

/// The same with what the session begins with.
fn as_begun(prepared: &Prepared, targets: &Targets, mut noted: Noted) -> Noted {
    for table in &prepared.tables {
        if let Some(history) = targets.history(table.id) {
            noted.insert(table.name.clone(), history.source.clone());
        }
    }
    noted
}
