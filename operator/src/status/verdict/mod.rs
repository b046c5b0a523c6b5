//! The status, reason and message of each condition, from the facts of one observation. Pure.
//!
//! `Ready` is the worker's own report. Without a report it is never True: False where a known problem explains it,
//! Unknown where the worker runs and does not answer.

mod copied;
mod health;
mod ready;
mod stall;

use crds::Reason;
use proto::{Fault, fault::Part};

pub(crate) use self::{copied::snapshot_complete, stall::needs_a_person};
use self::{
    health::part_healthy,
    ready::{ready, worker_available},
    stall::stalled,
};
use super::Facts;
use crate::{
    plan::Freshness,
    problem::{Problem, sentences},
};

/// The types of conditions, in the order in which they are shown.
pub const READY: &str = "Ready";
const WORKER_AVAILABLE: &str = "WorkerAvailable";
pub const SOURCE_HEALTHY: &str = "SourceHealthy";
const SINK_HEALTHY: &str = "SinkHealthy";
/// Whether every table's target has every row of the source. Told last, and kept while nobody knows better.
pub const SNAPSHOT_COMPLETE: &str = "SnapshotComplete";
/// Everything runs as specified, and as this operator would start it now.
pub const UP_TO_DATE: &str = "UpToDate";
const STALLED: &str = "Stalled";

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    /// The value in Kubernetes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The content of one condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub status: ConditionStatus,
    pub reason: Reason,
    pub message: String,
}

impl Verdict {
    fn new(status: ConditionStatus, reason: Reason, message: &str) -> Self {
        Self { status, reason, message: message.to_owned() }
    }

    fn no(problem: &Problem) -> Self {
        Self::new(ConditionStatus::False, problem.reason, &problem.message)
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

fn up_to_date(facts: &Facts<'_>) -> Verdict {
    match (facts.job, facts.secrets.or(facts.apply).or(facts.altered), facts.plan) {
        (Err(problem), ..) | (_, Some(problem), _) => Verdict::no(problem),
        (Ok(_), None, Some(plan)) => freshness(&plan.freshness),
        _ => Verdict::new(ConditionStatus::True, Reason::AsSpecified, "Everything runs as specified."),
    }
}

fn freshness(freshness: &Freshness) -> Verdict {
    let when = "Its next restart for another reason brings it; to have it now, stop and start the job with spec.state.";
    match freshness {
        Freshness::Fresh => {
            Verdict::new(ConditionStatus::True, Reason::AsSpecified, "Everything runs as specified.")
        }
        Freshness::OtherImage(image) => {
            let message = format!("The operator's default image for workers is now {image}. {when}");
            Verdict::new(ConditionStatus::False, Reason::NewWorkerImageAvailable, &message)
        }
        Freshness::OtherTemplate => {
            let message = format!("This operator has another pod template for the worker. {when}");
            Verdict::new(ConditionStatus::False, Reason::NewWorkerTemplateAvailable, &message)
        }
    }
}

/// The reason of a fault; `WorkerFault` for a reason of a newer worker that is unknown here.
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
