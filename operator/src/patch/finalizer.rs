//! The finalizer: keeps the resource until its job's objects at the source are dropped.

use crds::ReplicationJob;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{job::Identity, names};

/// Adds or removes the finalizer. False after a conflict with another change: the caller tries again.
pub async fn set_finalizer(client: &Client, identity: &Identity, present: bool) -> Result<bool, kube::Error> {
    let api = Api::<ReplicationJob>::namespaced(client.clone(), &identity.namespace);
    // Read from the API server: the watch may be older than our own last change.
    let Some(now) = api.get_metadata_opt(&identity.name).await? else { return Ok(true) };
    if now.metadata.uid.as_ref() != Some(&identity.uid) {
        return Ok(true);
    }
    let mut finalizers = now.metadata.finalizers.unwrap_or_default();
    finalizers.retain(|name| name != names::FINALIZER);
    finalizers.extend(present.then(|| names::FINALIZER.to_owned()));
    let metadata = json!({ "finalizers": finalizers, "resourceVersion": now.metadata.resource_version });
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    match api.patch_metadata(&identity.name, &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        result => result.map(|_| true),
    }
}
