//! The Service of one worker: probes, status and metrics.

use serde_json::{Value, json};

use super::{object::object, template};
use crate::{job::Job, names};

pub(super) fn service(job: &Job) -> Value {
    let spec = json!({
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": names::selector(&job.identity.name),
        "ports": [
            // Probes, status and metrics. The operator sends commands to the pod's address, by gRPC.
            { "name": "http", "port": template::HTTP_PORT, "targetPort": "http", "protocol": "TCP" },
        ],
    });
    object(job, "v1", "Service", json!({ "spec": spec }))
}
