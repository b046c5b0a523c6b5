//! From the observed facts to the status. Pure: the time is passed in.
//!
//! - [`verdict`]: the status, reason and message of each condition, from the facts alone.
//! - [`progress`]: how far replication is, and when a new figure is worth a write.
//! - `snapshot`: the same for the copy of existing rows.
//! - [`transition`]: which changes become events.

pub mod progress;
mod snapshot;
pub mod transition;
pub mod verdict;

use crds::{
    ReplicationJobStatus,
    spec::DesiredState,
    status::{FailingTable, Slot, Snapshot, Stage, Tables, WorkerStatus},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use proto::{CdcState, StatusResponse, fault::Part};
use verdict::{SNAPSHOT_COMPLETE, Verdict, snapshot_complete};

use crate::{
    job::Job,
    observe::{Observation, Report},
    plan::Plan,
    problem::{Problem, sentences},
};

/// Failed tables named in a status, at most.
const NAMED_TABLES: usize = 10;

/// The inputs of a status.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub generation: i64,
    /// The job, or why the resource is not a valid one.
    pub job: Result<&'a Job, &'a Problem>,
    /// The problem with its Secrets.
    pub secrets: Option<&'a Problem>,
    /// The plan, where there is one.
    pub plan: Option<&'a Plan>,
    /// Why the plan could not be applied.
    pub apply: Option<&'a Problem>,
    /// How an object of the job differs from the plan because others changed it.
    pub altered: Option<&'a Problem>,
    pub observation: &'a Observation,
    /// What a deletion waits for.
    pub deleting: Option<&'a str>,
}

impl Facts<'_> {
    /// The worker's own report.
    pub(crate) fn report(&self) -> Option<&StatusResponse> {
        match &self.observation.report {
            Report::Answered(report) => Some(report),
            Report::None | Report::Silent(_) => None,
        }
    }

    /// Whether a job that only copies (`snapshot.mode: Only`) has copied everything.
    pub(crate) fn is_completed(&self) -> bool {
        let only_copies = self.job.is_ok_and(Job::only_copies);
        only_copies
            && (self.job.is_ok_and(|job| job.completed)
                || self.report().is_some_and(|report| report.completed))
    }

    /// The state that the user asks for; `None` for a resource that is not a valid job.
    pub(crate) fn desired_state(&self) -> Option<DesiredState> {
        self.job.ok().map(Job::state)
    }
}

/// The status that follows from the facts and the previous status.
pub fn status(previous: &ReplicationJobStatus, facts: &Facts<'_>, now: Timestamp) -> ReplicationJobStatus {
    let refused = facts.observation.copy_refused.as_deref();
    let snapshot = snapshot::snapshot(previous.snapshot.as_ref(), facts.report(), refused, now);
    let conditions = conditions(&previous.conditions, facts, snapshot.as_ref(), now);
    let stage = stage(previous.stage, facts);
    let urgent = stage != previous.stage || transition::any(&previous.conditions, &conditions);
    let replication = progress::progress(previous.replication.as_ref(), facts.report(), now, urgent);
    // The slot's figure changes all the time: it is written together with the other figures.
    let fresh = urgent || replication != previous.replication;
    ReplicationJobStatus {
        observed_generation: Some(facts.generation),
        stage,
        replication,
        conditions,
        snapshot,
        slot: slot(previous.slot.as_ref(), facts.report(), fresh),
        tables: tables(previous, facts),
        worker: worker(previous, facts),
    }
}

fn conditions(
    previous: &[Condition],
    facts: &Facts<'_>,
    snapshot: Option<&Snapshot>,
    now: Timestamp,
) -> Vec<Condition> {
    let verdicts = verdict::all(facts).into_iter();
    let mut conditions: Vec<_> =
        verdicts.map(|(type_, verdict)| condition(previous, type_, verdict, facts.generation, now)).collect();
    let known = |verdict| condition(previous, SNAPSHOT_COMPLETE, verdict, facts.generation, now);
    // What is copied stays so while no worker tells of it.
    let shown = || previous.iter().find(|condition| condition.type_ == SNAPSHOT_COMPLETE).cloned();
    conditions.extend(snapshot_complete(facts, snapshot).map(known).or_else(shown));
    conditions
}

fn condition(
    previous: &[Condition],
    type_: &str,
    verdict: Verdict,
    generation: i64,
    now: Timestamp,
) -> Condition {
    let same = previous
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == verdict.status.as_str());
    Condition {
        type_: type_.to_owned(),
        status: verdict.status.as_str().to_owned(),
        reason: verdict.reason.as_str().to_owned(),
        message: verdict.message,
        observed_generation: Some(generation),
        last_transition_time: same
            .map_or(Time(whole_seconds(now)), |condition| condition.last_transition_time.clone()),
    }
}

/// Kubernetes stores whole seconds; a fraction would look like a change when read back.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn stage(previous: Stage, facts: &Facts<'_>) -> Stage {
    if facts.deleting.is_some() {
        return Stage::Deleting;
    }
    match (facts.desired_state(), facts.report()) {
        (None, None) => Stage::Failed,
        (Some(DesiredState::Running | DesiredState::Paused), _) if facts.is_completed() => Stage::Completed,
        (Some(DesiredState::Stopped), _) if facts.observation.pods.is_empty() => Stage::Stopped,
        // Draining: the stage stays.
        (Some(DesiredState::Stopped), _) => previous,
        (_, Some(report)) => stage_of(report, previous),
        (_, None) if matches!(facts.observation.report, Report::Silent(_)) => previous,
        (_, None) if verdict::needs_a_person(facts) => Stage::Failed,
        (_, None) => Stage::Pending,
    }
}

fn stage_of(report: &StatusResponse, previous: Stage) -> Stage {
    let halted = report.faults.iter().any(|fault| fault.halted && fault.part() != Part::Table)
        || has_nothing_to_follow(report);
    match report.state() {
        _ if halted && !report.ready => Stage::Failed,
        CdcState::Running if report.snapshot_active => Stage::Snapshotting,
        CdcState::Running if report.ready || report.current_lsn > 0 => Stage::Streaming,
        CdcState::Running => Stage::Pending,
        CdcState::Paused => Stage::Paused,
        CdcState::Draining => previous,
        CdcState::Stopped => Stage::Failed,
    }
}

/// Whether every table is halted.
fn has_nothing_to_follow(report: &StatusResponse) -> bool {
    let is_halted = |table: &String| {
        report.faults.iter().any(|fault| fault.halted && fault.part() == Part::Table && fault.table == *table)
    };
    !report.tables.is_empty() && report.tables.iter().all(is_halted)
}

fn slot(shown: Option<&Slot>, report: Option<&StatusResponse>, fresh: bool) -> Option<Slot> {
    let Some(report) = report.filter(|report| has_slot(report)) else { return shown.cloned() };
    let shown = shown.filter(|shown| shown.name == report.slot_name);
    let health = report.slot.clone().unwrap_or_default();
    let safe_wal_bytes = health.safe_wal_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let seen = Slot { name: report.slot_name.clone(), wal_status: health.wal_status, safe_wal_bytes };
    match shown {
        // The worker could not read the slot: keep the figures seen last.
        Some(shown) if report.slot.is_none() => Some(shown.clone()),
        Some(shown) if !fresh && shown.wal_status == seen.wal_status => Some(shown.clone()),
        _ => Some(seen),
    }
}

/// Whether the worker has seen the slot. The name alone does not show that it exists, and a deletion decides by this
/// status whether there can be one.
fn has_slot(report: &StatusResponse) -> bool {
    let is_read = report.current_lsn > 0 || report.confirmed_lsn > 0;
    !report.slot_name.is_empty() && (report.slot.is_some() || is_read)
}

fn tables(previous: &ReplicationJobStatus, facts: &Facts<'_>) -> Option<Tables> {
    let Ok(job) = facts.job else { return previous.tables.clone() };
    let total = job.description.spec.source.postgres.tables.len() as i32;
    let Some(report) = facts.report() else {
        return Some(Tables { total, ..previous.tables.clone().unwrap_or_default() });
    };
    let mut failing: Vec<_> =
        report.faults.iter().filter(|fault| fault.part() == Part::Table).map(failing_table).collect();
    failing.sort_by(|one, other| one.name.cmp(&other.name));
    failing.dedup_by(|one, other| one.name == other.name);
    let failed = failing.len() as i32;
    failing.truncate(NAMED_TABLES);
    Some(Tables { total, failed, failing })
}

fn failing_table(fault: &proto::Fault) -> FailingTable {
    FailingTable {
        name: fault.table.clone(),
        reason: verdict::reason_of(fault).as_str().to_owned(),
        message: sentences(&[&fault.message, &fault.fix]),
    }
}

fn worker(previous: &ReplicationJobStatus, facts: &Facts<'_>) -> Option<WorkerStatus> {
    let plan = facts.plan?;
    let before = previous.worker.clone().unwrap_or_default();
    let pod = facts.observation.pod().unwrap_or_default();
    let same_pod = before.pod == pod.name;
    Some(WorkerStatus {
        image: plan.image.clone(),
        version: match facts.report() {
            Some(report) => report.version.clone(),
            None if same_pod => before.version,
            None => String::new(),
        },
        pod: pod.name,
        restarts: pod.restarts,
        last_exit: pod.last_exit.or(before.last_exit),
    })
}

#[cfg(test)]
mod tests;
