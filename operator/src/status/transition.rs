//! Which changes of a status become events. Pure.

use crds::Reason;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::verdict::{READY, SOURCE_HEALTHY, UP_TO_DATE};

/// One event: its reason is the condition's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub warning: bool,
    pub reason: String,
    pub message: String,
}

/// Whether any condition changed its status or its reason.
pub(super) fn any(before: &[Condition], now: &[Condition]) -> bool {
    now.iter().any(|condition| changed(before, condition))
}

/// The events between two statuses: of readiness, of a slot at risk, and of a worker that is not up to date.
pub fn transitions(before: &[Condition], now: &[Condition]) -> Vec<Transition> {
    let relevant = now.iter().filter(|condition| match condition.type_.as_str() {
        READY => true,
        SOURCE_HEALTHY => condition.reason == Reason::SlotAtRisk.as_str(),
        UP_TO_DATE => condition.status == "False" && !repeats_readiness(condition, now),
        _ => false,
    });
    relevant.filter(|condition| changed(before, condition)).map(transition).collect()
}

fn changed(before: &[Condition], now: &Condition) -> bool {
    let same =
        |old: &&Condition| old.type_ == now.type_ && old.status == now.status && old.reason == now.reason;
    !before.iter().any(|old| same(&old))
}

fn repeats_readiness(condition: &Condition, now: &[Condition]) -> bool {
    now.iter().any(|other| other.type_ == READY && other.reason == condition.reason)
}

/// Requested, or in progress: not a warning.
fn by_request(reason: Reason) -> bool {
    use Reason::{
        Deleting, Draining, NewWorkerImageAvailable, NewWorkerTemplateAvailable, Stopped, WorkerStarting,
    };
    matches!(
        reason,
        Stopped | Draining | Deleting | WorkerStarting | NewWorkerImageAvailable | NewWorkerTemplateAvailable
    )
}

fn transition(condition: &Condition) -> Transition {
    let reason = condition.reason.parse::<Reason>();
    Transition {
        warning: condition.status != "True" && !reason.is_ok_and(by_request),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    }
}
