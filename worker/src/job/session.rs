//! One session of replication: sets up both ends, then streams until the intake is closed or a fault ends it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

use super::{
    anew, completion,
    halt_watch::{HaltWatch, types_changed},
    off_the_runtime,
    relay::Relay,
    requests::{Inputs, Taken},
    resume::Resume,
    slot_lost,
    stream::stream,
};
use crate::{
    config::{Consistency, JobConfig},
    fault::{Fault, Part},
    postgres::{self, Intake, Prepared, Setup},
    prior_run::PriorRun,
    progress::{Owner, Progress, Stage},
    schema_history::{Noted, SchemaHistory},
    starrocks::{self, Claimant, Fencing, SchemaHistories, SlotIdentity, Targets},
    table::TableName,
};

/// Streams until the intake is closed or a new session is due, and then until everything received is durable and
/// confirmed.
pub(super) async fn run(
    config: &JobConfig,
    intake: watch::Receiver<Intake>,
    inputs: &Inputs,
    progress: &Arc<Progress>,
    fencing: &mut Fencing,
    resume: &mut Resume,
) -> Result<Outcome, Blocked> {
    progress.set_stage(Stage::Setup);
    let mut taken = inputs.requests.take();
    let prior_runs = fencing.prior_runs(&config.source.slot).await?;
    if completion::is_recorded(config, &prior_runs) {
        return Ok(Outcome::Completed);
    }
    let (prepared, mut targets, noted) = prepare(config, progress, fencing, (&taken, prior_runs)).await?;
    anew::give_up_copies(config, &prepared, &mut targets);
    taken.apply(|asked| anew::apply(asked, &config.source.tables, &prepared, &mut targets));
    for fault in &prepared.refused {
        progress.raise(fault.clone());
        error!(reason = %fault.reason, fix = %fault.fix, "{}", fault.message);
    }
    report_completeness(config, &prepared, &targets, progress);
    info!(job = %config.job, slot = %config.source.slot, lsn = %prepared.confirmed, "streaming began");
    let relay = Relay::new(&intake);
    let (closing, restarts) = (relay.seen.subscribe(), Arc::clone(&relay.restarts));
    let (refused, halted) = (prepared.refused.clone(), targets.halted.clone());
    let unfinished = targets.unfinished.iter().map(|(table, _)| *table).collect();
    let (claimant, tables) = (claimant(config, &prepared), prepared.tables.clone());
    let watch = HaltWatch { config, claimant, progress, noted, refused, halted, unfinished, tables };
    let restart_due = restart_due(watch, inputs, resume.read_again());
    let mut config = config.clone();
    config.source.claims = vec![claim_key(prepared.system_identifier, &config.source.slot)];
    let is_whole = tokio::select! {
        ended = stream(&config, (prepared, targets, taken), closing, inputs.batch.clone(), progress, fencing, resume) => ended?,
        () = relay.run(intake, restart_due) => false,
    };
    Ok(if restarts.load(Relaxed) { Outcome::Restart } else { Outcome::Drained { is_whole } })
}

/// Resolves when a new session is needed: for changed tables, another selection, or changes to read again.
async fn restart_due(watch: HaltWatch<'_>, inputs: &Inputs, read_again: Arc<Notify>) {
    let (config, mut selected) = (watch.config, inputs.tables.clone());
    tokio::select! {
        () = read_again.notified() => {}
        () = types_changed(&config.source, watch.tables.clone()) => {}
        () = watch.found_change() => {}
        // A closed channel means that the selection will not change any more.
        Ok(()) = selected.changed() => {}
        () = inputs.requests.come() => {}
    }
}

/// Why a session ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The intake was closed, and what can be loaded is confirmed; `is_whole` when that is everything received.
    Drained { is_whole: bool },
    /// An earlier worker has copied everything, and nothing else is to be done.
    Completed,
    /// A new session is due: tables or halts changed, or the job selects other tables.
    Restart,
}

/// Why a session could not begin, or ended.
#[derive(Debug)]
pub(super) enum Blocked {
    Part(Fault),
    /// No table can be replicated, or one of a transaction cannot: each with its own fault.
    Tables(Vec<Fault>),
}

impl From<Fault> for Blocked {
    fn from(fault: Fault) -> Self {
        Self::Part(fault)
    }
}

async fn prepare(
    config: &JobConfig,
    progress: &Progress,
    fencing: &mut Fencing,
    (taken, prior_runs): (&Taken, Vec<PriorRun>),
) -> Result<(Prepared, Targets, Noted), Blocked> {
    let mut source = config.source.clone();
    // They were read before the slot is touched: a missing slot is created only for a job without prior runs.
    source.claims = prior_runs.iter().map(|prior_run| claim_key(prior_run.system, &source.slot)).collect();
    // Without prior runs the histories are those of an earlier job of this name, and do not apply to this one.
    let begins = prior_runs.is_empty();
    let mut kept =
        if begins { SchemaHistories::new() } else { starrocks::known(&config.sink, &config.job).await? };
    // Drop the histories of a job of the same name that reads another slot.
    kept.retain(|_, history| is_of(history, &prior_runs, &source.slot));
    progress.set_snapshot_request(anew::last_request(&kept).unwrap_or_default());
    let noted = noted(&config.source.tables, &kept);
    let before = noted.clone();
    let runs = prior_runs.clone();
    let setup = match off_the_runtime(move || postgres::prepare_noted(&source, &runs, &before)).await {
        Err(fault) => {
            return Err(slot_lost::give_up(config, &prior_runs, &kept, fencing, fault).await.into());
        }
        Ok(setup) => setup,
    };
    progress.clear(&Part::Source);
    let (prepared, exclusive) = match setup {
        Setup::Ready(prepared, exclusive) => (*prepared, exclusive),
        Setup::Refused(faults) => return Err(Blocked::Tables(faults)),
    };
    let (tables, identities) = (&prepared.tables, &prepared.identities);
    let claimant = claimant(config, &prepared);
    let lost = slot_lost::given_up(&prior_runs, prepared.system_identifier);
    let is_asked = |name: &TableName| lost.is_some() || taken.has(name);
    // Under the lock, while no other worker can load: a column that is renamed during a load silently gets NULL.
    let targets = starrocks::prepare(&config.sink, &claimant, tables, identities, begins, is_asked).await;
    let release = move || {
        exclusive.release();
        Ok(())
    };
    off_the_runtime(release).await?;
    let mut targets = targets?;
    let selected: Vec<_> = config.source.tables.iter().map(TableName::target).collect();
    targets.leave(&kept, &claimant, |target| selected.iter().any(|name| name == target), prepared.confirmed);
    fencing.store_before_claim(&[]);
    if lost.is_some() {
        slot_lost::take_all_anew(&kept, &prepared, &mut targets, fencing);
    }
    let faults = faults_of_tables(&prepared, &targets);
    // With consistency Transaction, no transaction can be replicated without one of its tables.
    let needs_all_tables = config.sink.consistency == Consistency::Transaction;
    if targets.halted.len() == tables.len() || (needs_all_tables && !faults.is_empty()) {
        return Err(Blocked::Tables(faults));
    }
    let noted = as_begun(&prepared, &targets, noted);
    progress.clear_all();
    if let Some(lost) = lost {
        progress.raise_of(Owner::Copy, slot_lost::notice(config, lost));
    }
    Ok((prepared, targets, noted))
}

/// Faults of tables at either end.
fn faults_of_tables(prepared: &Prepared, targets: &Targets) -> Vec<Fault> {
    let halted = targets.halted.iter().map(|(_, fault)| fault);
    prepared.refused.iter().chain(halted).cloned().collect()
}

fn claimant(config: &JobConfig, prepared: &Prepared) -> Claimant {
    let slot =
        SlotIdentity { system_identifier: prepared.system_identifier, slot: config.source.slot.clone() };
    Claimant { job: config.job.clone(), slot }
}

/// Whether a history belongs to one of these prior runs of the slot. A history without an owner counts as its own.
fn is_of(history: &SchemaHistory, prior_runs: &[PriorRun], slot: &str) -> bool {
    let own = |prior_run: &PriorRun| claim_key(prior_run.system, slot);
    history.owner.as_ref().is_none_or(|owner| prior_runs.iter().any(|prior_run| own(prior_run) == owner.slot))
}

/// The key of the claim on a server's slot.
fn claim_key(system_identifier: u64, slot: &str) -> String {
    SlotIdentity { system_identifier, slot: slot.to_owned() }.key()
}

/// The recorded source identities of the selected tables.
fn noted(tables: &[TableName], kept: &SchemaHistories) -> Noted {
    let history = |name: &TableName| {
        let history = kept.get(&name.target())?;
        Some((name.clone(), history.source.clone()))
    };
    tables.iter().filter_map(history).collect()
}

/// Reports tables whose target may lack rows: rows that existed before the job. A later update of such a row that
/// leaves a large value unchanged does not send that value.
fn report_completeness(config: &JobConfig, prepared: &Prepared, targets: &Targets, progress: &Progress) {
    for table in &prepared.tables {
        let whole = targets.history(table.id).is_some_and(|history| history.whole == Some(true));
        progress.table_whole(&table.name, whole);
        if !whole && !config.snapshot.initial {
            warn!(table = %table.name, "table may hold rows from before the job began: they are not copied, and an update \
                of such a row that leaves a large value unchanged leaves it NULL in the target");
        }
    }
}

/// The same, updated with the identities that the session begins with.
fn as_begun(prepared: &Prepared, targets: &Targets, mut noted: Noted) -> Noted {
    for table in &prepared.tables {
        if let Some(history) = targets.history(table.id) {
            noted.insert(table.name.clone(), history.source.clone());
        }
    }
    noted
}
