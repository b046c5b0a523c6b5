//! Whether changes flow: the worker's report, or the reason why there is none.

use crds::{Reason, spec::DesiredState};
use proto::{CdcState, StatusResponse};

use super::{super::Facts, ConditionStatus, Verdict, problem};
use crate::{observe::Report, problem::sentences};

pub(super) fn ready(facts: &Facts<'_>) -> Verdict {
    if let Some(waiting_for) = facts.deleting {
        return Verdict::new(ConditionStatus::False, Reason::Deleting, waiting_for);
    }
    match (facts.job, facts.apply) {
        // The worker keeps its last job description; UpToDate shows that it is not the current one.
        (Err(_), _) if facts.report().is_some() => {}
        (Err(problem), _) | (_, Some(problem)) => return Verdict::no(problem),
        _ if facts.desired_state() == Some(DesiredState::Stopped) => return stopped(facts),
        _ if facts.is_completed() => return completed(),
        _ => {}
    }
    match facts.report() {
        Some(report) => reported(report, facts),
        None => unreported(facts),
    }
}

fn stopped(facts: &Facts<'_>) -> Verdict {
    if facts.observation.pods.is_empty() {
        let message = "Stopped by request. An existing slot stays, and PostgreSQL keeps WAL for it, as much as \
                       max_slot_wal_keep_size allows.";
        return Verdict::new(ConditionStatus::False, Reason::Stopped, message);
    }
    Verdict::new(
        ConditionStatus::False,
        Reason::Draining,
        "Stopped by request. The worker loads and confirms what it holds.",
    )
}

fn completed() -> Verdict {
    let message = "Everything is copied, and the job has ended. Its slot is dropped with the resource.";
    Verdict::new(ConditionStatus::True, Reason::Completed, message)
}

fn reported(report: &StatusResponse, facts: &Facts<'_>) -> Verdict {
    if let Some(problem) = &facts.observation.command_refused {
        return Verdict::no(problem);
    }
    match (report.state(), report.ready, report.faults.first()) {
        (CdcState::Stopped, ..) => stopped_by_command(),
        (CdcState::Paused, true, _) => {
            let message = "Connected, and paused by request. PostgreSQL keeps the WAL meanwhile, as much as \
                           max_slot_wal_keep_size allows.";
            Verdict::new(ConditionStatus::True, Reason::Paused, message)
        }
        (_, true, _) => Verdict::new(ConditionStatus::True, Reason::Replicating, &flowing(facts)),
        (_, false, Some(fault)) => Verdict::no(&problem(fault)),
        (_, false, None) => {
            Verdict::new(ConditionStatus::False, Reason::WorkerStarting, "The worker is connecting.")
        }
    }
}

fn stopped_by_command() -> Verdict {
    let message = "The worker was stopped over its control interface. Delete its pod to restart it: it continues from \
                   the replication slot, or reports SlotLost where the stop dropped it.";
    Verdict::new(ConditionStatus::False, Reason::WorkerStopped, message)
}

fn flowing(facts: &Facts<'_>) -> String {
    let Ok(job) = facts.job else { return "Changes flow by the worker's last job description.".to_owned() };
    let tables = job.description.spec.source.postgres.tables.len();
    let plural = if tables == 1 { "" } else { "s" };
    format!("Changes of {tables} table{plural} flow.")
}

pub(super) fn unreported(facts: &Facts<'_>) -> Verdict {
    let observation = facts.observation;
    if let Report::Silent(why) = &observation.report {
        return Verdict::new(ConditionStatus::Unknown, Reason::WorkerUnreachable, &unreachable(why));
    }
    let pod_problem = observation.pod().and_then(|pod| pod.problem);
    match facts.secrets.or(pod_problem.as_ref()).or(observation.pod_refused.as_ref()) {
        Some(problem) => Verdict::no(problem),
        None if observation.pods.iter().any(|pod| pod.ending) => Verdict::new(
            ConditionStatus::False,
            Reason::WorkerStarting,
            "The worker drains, and is then restarted.",
        ),
        None => Verdict::new(ConditionStatus::False, Reason::WorkerStarting, "The worker's pod is starting."),
    }
}

fn unreachable(why: &str) -> String {
    let what = format!("the worker runs and does not answer the operator: {why}");
    sentences(&[&what, "it may still be replicating; check network policies and the log of its pod"])
}

pub(super) fn worker_available(facts: &Facts<'_>) -> Verdict {
    match (&facts.observation.report, facts.desired_state()) {
        (Report::Answered(_), _) => {
            Verdict::new(ConditionStatus::True, Reason::Healthy, "The worker answers.")
        }
        (Report::Silent(why), _) => {
            Verdict::new(ConditionStatus::False, Reason::WorkerUnreachable, &unreachable(why))
        }
        (Report::None, Some(DesiredState::Stopped)) => stopped(facts),
        (Report::None, Some(_)) if facts.is_completed() => {
            Verdict::new(ConditionStatus::False, Reason::Completed, "The job has ended, and needs no worker.")
        }
        (Report::None, None) => {
            Verdict::new(ConditionStatus::False, Reason::NotObserved, "There is no valid job to run.")
        }
        (Report::None, Some(_)) => unreported(facts),
    }
}
