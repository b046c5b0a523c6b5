//! Writes what changed of a resource's status, the events of the change, and its finalizer. Nothing
//! changed: nothing is written.

use crds::{Reason, ReplicationJob, ReplicationJobStatus};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use serde_json::json;

use crate::{
    events::{Announcement, Events},
    job::Identity,
    names,
    problem::why,
    status::transition::{Transition, transitions},
};

/// Bytes; an event's note holds a kilobyte.
const LONGEST_NOTE: usize = 1000;
/// The actions that events name.
const RECONCILE: &str = "Reconcile";
const CLEANUP: &str = "Cleanup";

/// Replaces the status, if it differs from what is stored, and gives the version of the resource with it.
pub async fn patch(
    client: &Client,
    identity: &Identity,
    before: &ReplicationJobStatus,
    now: &ReplicationJobStatus,
) -> Result<Option<String>, kube::Error> {
    if before == now {
        return Ok(None);
    }
    // The answer holds the whole resource, which may be one that cannot be read.
    let resource = ApiResource::erase::<ReplicationJob>(&());
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &identity.namespace, &resource);
    // With the UID, so that the status of a resource that is gone never lands on its successor.
    let body = json!({
        "apiVersion": "dbmazz.dev/v1alpha1",
        "kind": "ReplicationJob",
        "metadata": { "name": identity.name, "uid": identity.uid },
        "status": now,
    });
    let parameters = PatchParams::apply(names::FIELD_MANAGER).force();
    let written = api.patch_status(&identity.name, &parameters, &Patch::Apply(body)).await?;
    Ok(Some(written.metadata.resource_version.unwrap_or_default()))
}

/// Puts the finalizer on the resource, or takes it off. False if somebody else was faster with another
/// change, and it is to be tried again.
pub async fn hold(client: &Client, identity: &Identity, held: bool) -> Result<bool, kube::Error> {
    let api = Api::<ReplicationJob>::namespaced(client.clone(), &identity.namespace);
    // Asked for anew: what the watch shows may be older than our own last change.
    let Some(now) = api.get_metadata_opt(&identity.name).await? else { return Ok(true) };
    if now.metadata.uid.as_ref() != Some(&identity.uid) {
        return Ok(true);
    }
    let mut finalizers = now.metadata.finalizers.unwrap_or_default();
    finalizers.retain(|name| name != names::FINALIZER);
    finalizers.extend(held.then(|| names::FINALIZER.to_owned()));
    let metadata = json!({ "finalizers": finalizers, "resourceVersion": now.metadata.resource_version });
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    match api.patch_metadata(&identity.name, &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        result => result.map(|_| true),
    }
}

/// Tells of every transition between the two.
pub async fn tell(
    events: &Events,
    identity: &Identity,
    before: &ReplicationJobStatus,
    now: &ReplicationJobStatus,
) {
    for transition in transitions(&before.conditions, &now.conditions) {
        publish(events, identity, RECONCILE, transition).await;
    }
}

/// Warns that something stays behind at the source.
pub async fn warn_of_leak(events: &Events, identity: &Identity, message: &str) {
    let reason = Reason::CleanupFailed.to_string();
    publish(events, identity, CLEANUP, Transition { warning: true, reason, message: message.to_owned() })
        .await;
}

/// Tells of a deletion what nobody needs to worry about.
pub async fn tell_of_deletion(events: &Events, identity: &Identity, message: &str) {
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
