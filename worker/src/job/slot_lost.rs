//! Begins again over a lost slot, where the job's rule says so: a new slot, and every table copied anew.
//!
//! ```text
//! slot is lost ─► lock, no load of a predecessor ─► claim says Lost ─► slot dropped ─► new session: new slot
//!   ─► histories of all tables: copied anew, in one load ─► claim of the new slot ─► loads
//! ```
//!
//! Each arrow may be the last of a worker. Until the histories are stored the claim says that the slot was lost, and the
//! next worker begins there again; so no slot ever counts as continued before every table is to be copied anew.

use std::time::{SystemTime, UNIX_EPOCH};

use crds::Reason;
use tracing::warn;

use super::off_the_runtime;
use crate::{
    config::{JobConfig, OnLost},
    fault::{Fault, Part},
    postgres::{self, Prepared},
    prior_run::{End, PriorRun},
    schema_history::{Retaken, SchemaHistory},
    starrocks::{Fencing, SchemaHistories, SlotIdentity, Targets},
};

const NOTHING: &str =
    "nothing: by `slot.onLost: Resnapshot` the job creates a new slot and copies every table anew";

/// The slot is lost: gives it up if the job's rule says so, so that the next session begins with another one. Returns the
/// fault that is reported.
pub(super) async fn give_up(
    config: &JobConfig,
    prior_runs: &[PriorRun],
    kept: &SchemaHistories,
    fencing: &mut Fencing,
    fault: Fault,
) -> Fault {
    if fault.reason != Reason::SlotLost || config.source.on_lost == OnLost::Fail || prior_runs.is_empty() {
        return fault;
    }
    let last = last_time(kept).filter(|last| now() < last.next());
    let is_given_up = prior_runs.iter().any(|prior_run| prior_run.end == End::Lost);
    if let Some(last) = last.filter(|_| !is_given_up) {
        return too_soon(fault, last);
    }
    match try_give_up(config, prior_runs, fencing).await {
        Ok(()) => begins_again(prior_runs, &fault),
        Err(other) => other,
    }
}

async fn try_give_up(
    config: &JobConfig,
    prior_runs: &[PriorRun],
    fencing: &mut Fencing,
) -> Result<(), Fault> {
    let (source, prior_runs) = (config.source.clone(), prior_runs.to_vec());
    // The lock is held until the slot is dropped: no other worker of the slot does anything meanwhile.
    let (system_identifier, mut exclusive) =
        off_the_runtime(move || postgres::lost_slot(&source, &prior_runs)).await?;
    let slot = SlotIdentity { system_identifier, slot: config.source.slot.clone() };
    fencing.prepare_to_give_up(&slot).await?;
    let source = config.source.clone();
    // The wait may have been long.
    let mut exclusive = off_the_runtime(move || exclusive.check(&source).map(|()| exclusive)).await?;
    fencing.give_up(&slot).await?;
    let source = config.source.clone();
    off_the_runtime(move || {
        exclusive.drop_lost(&source)?;
        exclusive.release();
        Ok(())
    })
    .await
}

/// What the claim of this server's slot says of the slot that was lost; none when none was.
pub(super) fn given_up(prior_runs: &[PriorRun], system: u64) -> Option<&PriorRun> {
    prior_runs.iter().find(|prior_run| prior_run.end == End::Lost && prior_run.system == system)
}

/// Stands until every table is copied, or the worker starts again.
pub(super) fn notice(config: &JobConfig, lost: &PriorRun) -> Fault {
    let message = format!(
        "replication slot {} was lost, and changes after {} with it: the targets are not exact from there until every table \
         is copied anew",
        config.source.slot, lost.reached
    );
    Fault::retry(Part::Job, Reason::SlotLost, message, NOTHING)
}

/// Has every table copied anew: those of this session, and every other that has a history. All histories are stored
/// before the new slot is claimed.
pub(super) fn take_all_anew(
    kept: &SchemaHistories,
    prepared: &Prepared,
    targets: &mut Targets,
    fencing: &mut Fencing,
) {
    let retaken = Some(Retaken::again(last_time(kept), now()));
    let anew = |history: SchemaHistory| SchemaHistory { retaken, ..history.taken_anew() };
    for table in &prepared.tables {
        // No change of before the new slot comes again, and the server may have another history.
        let shapes = SchemaHistory::beginning(table, Vec::new()).shapes;
        targets.change(table, |history| SchemaHistory { shapes: shapes.clone(), ..anew(history) });
    }
    let all: Vec<_> = kept.iter().map(|(target, history)| (target.clone(), anew(history.clone()))).collect();
    fencing.store_before_claim(&all);
    warn!(tables = all.len(), "the slot was lost: every table is copied anew");
}

/// When a table was last taken anew by the job itself.
fn last_time(kept: &SchemaHistories) -> Option<Retaken> {
    kept.values().filter_map(|history| history.retaken).max_by_key(|retaken| retaken.at)
}

fn begins_again(prior_runs: &[PriorRun], fault: &Fault) -> Fault {
    let reached = prior_runs.iter().map(|prior_run| prior_run.reached).max().unwrap_or_default();
    let message = format!(
        "{}; changes after {reached} are lost, and the targets are not exact from there until every table is copied anew",
        fault.message
    );
    warn!(reason = %fault.reason, "{message}; {NOTHING}");
    Fault::retry(Part::Source, Reason::SlotLost, message, NOTHING)
}

fn too_soon(fault: Fault, last: Retaken) -> Fault {
    let minutes = last.next().saturating_sub(now()).div_ceil(60);
    let message = format!(
        "{}; the job has begun again {} times by itself, and does so again in {minutes} minutes at the earliest",
        fault.message, last.times
    );
    let fix = format!(
        "see why the slot is lost again and again (max_slot_wal_keep_size, who drops it); or, not to wait, {}",
        fault.fix
    );
    Fault { message, fix, ..fault }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
