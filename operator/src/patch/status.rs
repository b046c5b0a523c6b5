//! The status subresource.

use crds::{ReplicationJob, ReplicationJobStatus};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use serde_json::json;

use crate::{job::Identity, names};

/// Replaces the status if it differs from the stored one; returns the resource version of the write.
pub async fn patch(
    client: &Client,
    identity: &Identity,
    before: &ReplicationJobStatus,
    now: &ReplicationJobStatus,
) -> Result<Option<String>, kube::Error> {
    if before == now {
        return Ok(None);
    }
    // Untyped, because the answer contains the whole resource, which may be one that our type cannot read.
    let resource = ApiResource::erase::<ReplicationJob>(&());
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &identity.namespace, &resource);
    // With the UID, so that the status of a deleted resource is never written to another one of the same name.
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
