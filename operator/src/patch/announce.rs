//! The events of a resource: each transition of a condition, and what a deletion leaves at the source.

use crds::{Reason, ReplicationJobStatus};
use k8s_openapi::api::core::v1::ObjectReference;

use super::events::{Announcement, Events};
use crate::{
    job::Identity,
    problem::why,
    status::transition::{Transition, transitions},
};

/// Bytes. The API server accepts notes of up to 1 kB.
const LONGEST_NOTE: usize = 1000;
/// The values of an event's `action`.
const RECONCILE: &str = "Reconcile";
const CLEANUP: &str = "Cleanup";

/// Publishes an event for every transition between the two statuses.
pub async fn publish_events(
    events: &Events,
    identity: &Identity,
    before: &ReplicationJobStatus,
    now: &ReplicationJobStatus,
) {
    for transition in transitions(before, now) {
        publish(events, identity, RECONCILE, transition).await;
    }
}

/// Publishes a warning: slot or publication may remain at the source.
pub async fn warn_of_leak(events: &Events, identity: &Identity, message: &str) {
    let reason = Reason::CleanupFailed.to_string();
    publish(events, identity, CLEANUP, Transition { warning: true, reason, message: message.to_owned() })
        .await;
}

/// Publishes a normal event about a deletion.
pub async fn publish_deletion(events: &Events, identity: &Identity, message: &str) {
    let reason = Reason::Deleting.to_string();
    publish(events, identity, CLEANUP, Transition { warning: false, reason, message: message.to_owned() })
        .await;
}

async fn publish(events: &Events, identity: &Identity, action: &'static str, transition: Transition) {
    let Transition { warning, reason, mut message } = transition;
    message.truncate(message.floor_char_boundary(LONGEST_NOTE));
    let announcement = Announcement { warning, reason, action, note: message };
    if let Err(error) = events.publish(&announcement, &reference(identity)).await {
        tracing::warn!(job = %identity.name, error = why(&error), "event was not written");
    }
}

fn reference(identity: &Identity) -> ObjectReference {
    ObjectReference {
        api_version: Some("dbmazz.dev/v1alpha1".into()),
        kind: Some("ReplicationJob".into()),
        namespace: Some(identity.namespace.clone()),
        name: Some(identity.name.clone()),
        uid: Some(identity.uid.clone()),
        ..ObjectReference::default()
    }
}
