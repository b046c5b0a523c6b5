//! The status subresource.

use crds::{ReplicationJob, ReplicationJobStatus};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use serde_json::json;

use crate::{job::Identity, names};

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
