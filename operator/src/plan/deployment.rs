//! The Deployment of one worker.

use serde_json::{Value, json};

use super::{STOPPED_SO_FAR, TEMPLATE, object::object, pin};
use crate::{job::Job, live::Live, names};

pub(super) fn deployment(job: &Job, template: &Value, live: &Live) -> Value {
    let replicas = if job.has_no_worker() { 0 } else { 1 };
    let spec = json!({
        "replicas": replicas,
        // Two workers of one job cannot share a slot: the old one drains and ends before the new one starts.
        "strategy": { "type": "Recreate" },
        "revisionHistoryLimit": 1,
        "selector": { "matchLabels": names::selector(&job.identity.name) },
        "template": template,
    });
    let mut annotations = json!({ TEMPLATE: template.to_string() });
    if pin::is_stopped_so_far(job, live) {
        annotations[STOPPED_SO_FAR] = json!(job.identity.generation.to_string());
    }
    object(job, "apps/v1", "Deployment", json!({ "metadata": { "annotations": annotations }, "spec": spec }))
}
