//! The time of the API server, by which deletions are measured.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::names;

/// The time of the API server, which sets deletion timestamps; the local time where it cannot be read.
pub async fn server_time(client: &Client, namespace: &str) -> Timestamp {
    let created = probe(client, namespace).await.ok().and_then(|probe| probe.metadata.creation_timestamp);
    created.map_or_else(Timestamp::now, |created| created.0)
}

/// A dry run: creates nothing; its answer has the API server's time.
pub(super) async fn probe(client: &Client, namespace: &str) -> Result<ConfigMap, kube::Error> {
    const NAME: &str = "dbmazz-operator-probe";
    let probe = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": NAME } });
    let parameters = PatchParams::apply(names::FIELD_MANAGER).dry_run();
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    api.patch(NAME, &parameters, &Patch::Apply(probe)).await
}
