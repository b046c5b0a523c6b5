//! The job description that the worker reads.

use serde_json::{Value, json};

use super::{object::object, template};
use crate::job::Job;

pub(super) fn config_map(job: &Job, mut description: Value, template: &Value) -> Value {
    // A worker that restarts by itself starts with the desired state, tables and batch sizes.
    description["spec"]["state"] = json!(job.state());
    description["spec"]["source"]["postgres"]["tables"] = json!(job.description.spec.source.postgres.tables);
    description["spec"]["sink"]["starrocks"]["batch"] = json!(job.description.spec.sink.starrocks.batch);
    let pair = &template["metadata"]["annotations"][template::CONFIGURATION];
    let metadata = json!({ "annotations": { template::CONFIGURATION: pair } });
    let data = json!({ "job.json": format!("{description:#}\n") });
    object(job, "v1", "ConfigMap", json!({ "metadata": metadata, "data": data }))
}
