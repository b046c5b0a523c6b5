//! The answer to each condition, from the facts of one look. Pure.
//!
//! `Ready` is what the worker says of itself. Without a report it is never True: False where something
//! explains it, Unknown where the worker runs and says nothing.

use crds::{Reason, spec::DesiredState};
use proto::{CdcState, Fault, StatusResponse, fault::Part};

use super::Facts;
use crate::{
    observe::Report,
    plan::Freshness,
    problem::{Problem, sentences},
};

/// The types of conditions, in the order in which they are shown.
pub const READY: &str = "Ready";
const WORKER_AVAILABLE: &str = "WorkerAvailable";
pub const SOURCE_HEALTHY: &str = "SourceHealthy";
const SINK_HEALTHY: &str = "SinkHealthy";
/// Everything runs as specified, and as a worker would be started now.
pub const UP_TO_DATE: &str = "UpToDate";
const STALLED: &str = "Stalled";

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    /// The word that Kubernetes uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub status: Truth,
    pub reason: Reason,
    pub message: String,
}

impl Verdict {
    fn new(status: Truth, reason: Reason, message: &str) -> Self {
        Self { status, reason, message: message.to_owned() }
    }

    fn no(problem: &Problem) -> Self {
        Self::new(Truth::False, problem.reason, &problem.message)
    }
}

/// Every condition of a job.
pub fn all(facts: &Facts<'_>) -> [(&'static str, Verdict); 6] {
    [
        (READY, ready(facts)),
        (WORKER_AVAILABLE, worker_available(facts)),
        (SOURCE_HEALTHY, part_healthy(facts, Part::Source)),
        (SINK_HEALTHY, part_healthy(facts, Part::Sink)),
        (UP_TO_DATE, up_to_date(facts)),
        (STALLED, stalled(facts)),
    ]
}

fn ready(facts: &Facts<'_>) -> Verdict {
    if let Some(waiting_for) = facts.deleting {
        return Verdict::new(Truth::False, Reason::Deleting, waiting_for);
    }
    match (facts.job, facts.apply) {
        (Err(problem), _) | (_, Some(problem)) => return Verdict::no(problem),
        _ if facts.wish() == Some(DesiredState::Stopped) => return stopped(facts),
        _ => {}
    }
    match facts.report() {
        Some(report) => reported(report, facts),
        None => unreported(facts),
    }
}

fn stopped(facts: &Facts<'_>) -> Verdict {
    if facts.observation.pods.is_empty() {
        let message = "Stopped by request. The slot stays, and PostgreSQL keeps its WAL for it.";
        return Verdict::new(Truth::False, Reason::Stopped, message);
    }
    Verdict::new(
        Truth::False,
        Reason::Draining,
        "Stopped by request. The worker loads and confirms what it holds.",
    )
}

fn reported(report: &StatusResponse, facts: &Facts<'_>) -> Verdict {
    if let Some(problem) = &facts.observation.command_refused {
        return Verdict::no(problem);
    }
    match (report.state(), report.ready, report.faults.first()) {
        (CdcState::Stopped, ..) => stopped_by_somebody(),
        (CdcState::Paused, true, _) => {
            let message = "Connected, and paused by request. PostgreSQL keeps the WAL meanwhile.";
            Verdict::new(Truth::True, Reason::Paused, message)
        }
        (_, true, _) => Verdict::new(Truth::True, Reason::Replicating, &flowing(facts)),
        (_, false, Some(fault)) => Verdict::no(&problem(fault)),
        (_, false, None) => Verdict::new(Truth::False, Reason::WorkerStarting, "The worker is connecting."),
    }
}

fn stopped_by_somebody() -> Verdict {
    let message = "The worker was stopped over its control interface. Delete its pod to start it anew; nothing is lost.";
    Verdict::new(Truth::False, Reason::WorkerStopped, message)
}

fn flowing(facts: &Facts<'_>) -> String {
    let tables = facts.job.map_or(0, |job| job.description.spec.source.postgres.tables.len());
    let plural = if tables == 1 { "" } else { "s" };
    format!("Changes of {tables} table{plural} flow.")
}

fn unreported(facts: &Facts<'_>) -> Verdict {
    let observation = facts.observation;
    if let Report::Silent(why) = &observation.report {
        return Verdict::new(Truth::Unknown, Reason::WorkerUnreachable, &unreachable(why));
    }
    let trouble = observation.pod().and_then(|pod| pod.trouble);
    match facts.secrets.or(trouble.as_ref()).or(observation.pod_refused.as_ref()) {
        Some(problem) => Verdict::no(problem),
        None if observation.pods.iter().any(|pod| pod.ending) => {
            Verdict::new(Truth::False, Reason::WorkerStarting, "The worker drains, and is then started anew.")
        }
        None => Verdict::new(Truth::False, Reason::WorkerStarting, "The worker's pod is on its way."),
    }
}

fn unreachable(why: &str) -> String {
    let what = format!("the worker runs and does not answer the operator: {why}");
    sentences(&[&what, "it may well be replicating; check network policies and the log of its pod"])
}

fn worker_available(facts: &Facts<'_>) -> Verdict {
    match (&facts.observation.report, facts.wish()) {
        (Report::Answered(_), _) => Verdict::new(Truth::True, Reason::Healthy, "The worker answers."),
        (Report::Silent(why), _) => Verdict::new(Truth::False, Reason::WorkerUnreachable, &unreachable(why)),
        (Report::None, Some(DesiredState::Stopped)) => stopped(facts),
        (Report::None, None) => Verdict::new(Truth::False, Reason::NotObserved, "There is no job to run."),
        (Report::None, Some(_)) => unreported(facts),
    }
}

/// Source and sink: a fault of that part; or no fault, and a sign of life of it.
fn part_healthy(facts: &Facts<'_>, part: Part) -> Verdict {
    let Some(report) = facts.report() else {
        return Verdict::new(Truth::Unknown, Reason::NotObserved, "No worker is there to tell.");
    };
    let (position, name) = match part {
        Part::Source => (report.current_lsn, "PostgreSQL"),
        _ => (report.durable_lsn, "StarRocks"),
    };
    match report.faults.iter().find(|fault| fault.part() == part) {
        Some(fault) => Verdict::no(&problem(fault)),
        None if part == Part::Source && is_at_risk(report) => at_risk(report),
        None if report.ready || position > 0 => {
            Verdict::new(Truth::True, Reason::Healthy, &format!("The worker reports no trouble with {name}."))
        }
        None => Verdict::new(
            Truth::Unknown,
            Reason::NotObserved,
            &format!("The worker has not reached {name} yet."),
        ),
    }
}

fn is_at_risk(report: &StatusResponse) -> bool {
    report.slot.as_ref().is_some_and(|slot| slot.at_risk)
}

/// Replication goes on, and may soon be over.
fn at_risk(report: &StatusResponse) -> Verdict {
    let what = format!("PostgreSQL may soon remove WAL that replication slot {} needs", report.slot_name);
    let fix = "See what keeps the worker from catching up, or raise max_slot_wal_keep_size and reload PostgreSQL: \
               once the WAL is gone the tables have to be copied anew";
    Verdict::new(Truth::False, Reason::SlotAtRisk, &sentences(&[&what, fix]))
}

fn up_to_date(facts: &Facts<'_>) -> Verdict {
    match (facts.job, facts.secrets.or(facts.apply), facts.plan) {
        (Err(problem), ..) | (_, Some(problem), _) => Verdict::no(problem),
        (Ok(_), None, Some(plan)) => freshness(&plan.freshness),
        _ => Verdict::new(Truth::True, Reason::AsSpecified, "Everything runs as specified."),
    }
}

fn freshness(freshness: &Freshness) -> Verdict {
    let when = "Its next restart for another reason brings it; to have it now, stop and start the job with spec.state.";
    match freshness {
        Freshness::Fresh => Verdict::new(Truth::True, Reason::AsSpecified, "Everything runs as specified."),
        Freshness::OtherImage(image) => {
            let message = format!("The operator's default image for workers is now {image}. {when}");
            Verdict::new(Truth::False, Reason::NewWorkerImageAvailable, &message)
        }
        Freshness::OtherTemplate => {
            let message = format!("This operator would set up the worker's pod otherwise. {when}");
            Verdict::new(Truth::False, Reason::NewWorkerTemplateAvailable, &message)
        }
    }
}

fn stalled(facts: &Facts<'_>) -> Verdict {
    if needs_a_person(facts) {
        let why = ready(facts);
        let halted =
            facts.report().and_then(|report| report.faults.iter().find(|fault| fault.halted)).map(problem);
        return match halted {
            Some(problem) => Verdict { status: Truth::True, ..Verdict::no(&problem) },
            None => Verdict { status: Truth::True, ..why },
        };
    }
    Verdict::new(Truth::False, Reason::Healthy, "Nothing waits for a person.")
}

/// Whether nothing goes on before somebody acts; what heals by waiting does not count.
pub(crate) fn needs_a_person(facts: &Facts<'_>) -> bool {
    if facts.deleting.is_some() {
        return false;
    }
    match (facts.job, facts.report()) {
        (Err(_), _) => true,
        (_, Some(report)) => report.faults.iter().any(|fault| fault.halted),
        (_, None) => facts.apply.is_some() || waits_for_a_person(unreported(facts).reason),
    }
}

fn waits_for_a_person(reason: Reason) -> bool {
    use Reason::{
        ContainerRefused, ImageUnavailable, PodRefused, SecretKeyMissing, SecretMissing, SecretUnreadable,
    };
    matches!(
        reason,
        SecretMissing
            | SecretKeyMissing
            | SecretUnreadable
            | ImageUnavailable
            | ContainerRefused
            | PodRefused
    )
}

/// The reason of a fault; a word of a newer worker counts as a fault all the same.
pub(super) fn reason_of(fault: &Fault) -> Reason {
    fault.reason.parse().unwrap_or(Reason::WorkerFault)
}

fn problem(fault: &Fault) -> Problem {
    let reason = reason_of(fault);
    let unknown = if reason == Reason::WorkerFault { fault.reason.as_str() } else { "" };
    let what = if fault.table.is_empty() || fault.message.contains(&fault.table) {
        fault.message.clone()
    } else {
        format!("table {}: {}", fault.table, fault.message)
    };
    Problem { reason, message: sentences(&[unknown, &what, &fault.fix]) }
}
