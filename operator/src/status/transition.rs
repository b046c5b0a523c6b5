//! Which changes of a status become events. Pure.

use crds::{Reason, ReplicationJobStatus, status::Snapshot};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::verdict::{READY, SNAPSHOT_COMPLETE, SOURCE_HEALTHY, UP_TO_DATE};

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

/// The events between two statuses.
pub fn transitions(before: &ReplicationJobStatus, now: &ReplicationJobStatus) -> Vec<Transition> {
    let request = request(before.snapshot.as_ref(), now.snapshot.as_ref());
    request.into_iter().chain(of_conditions(&before.conditions, &now.conditions)).collect()
}

/// A request to copy existing rows was taken up, or refused.
fn request(before: Option<&Snapshot>, now: Option<&Snapshot>) -> Option<Transition> {
    let (before, now) = (before.cloned().unwrap_or_default(), now?);
    if now.request != before.request {
        let message = format!("Request {} was taken up: existing rows are copied anew.", now.request);
        return Some(Transition { warning: false, reason: Reason::CopyRequested.to_string(), message });
    }
    let is_news = now.error != before.error && !now.error.is_empty();
    let reason = Reason::CopyPending.to_string();
    is_news.then(|| Transition { warning: true, reason, message: now.error.clone() })
}

/// Of readiness, of copies, of a slot at risk, and of a worker that is not up to date.
fn of_conditions(before: &[Condition], now: &[Condition]) -> Vec<Transition> {
    let relevant = now.iter().filter(|condition| match condition.type_.as_str() {
        READY => true,
        SOURCE_HEALTHY => condition.reason == Reason::SlotAtRisk.as_str(),
        SNAPSHOT_COMPLETE => condition.status == "True" || condition.reason == Reason::Copying.as_str(),
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
        Copying, Deleting, Draining, NewWorkerImageAvailable, NewWorkerTemplateAvailable, Stopped,
        WorkerStarting,
    };
    matches!(
        reason,
        Stopped
            | Draining
            | Deleting
            | WorkerStarting
            | Copying
            | NewWorkerImageAvailable
            | NewWorkerTemplateAvailable
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
