//! The short Job that drops slot and publication when there is no worker that can.

use serde_json::{Value, json};

use crate::{
    job::Job,
    names,
    plan::{Plan, object::object, template},
};

/// The image and the mounts of the worker, for one command, repeated until it succeeds.
pub fn cleanup_job(job: &Job, plan: &Plan, name: &str) -> Value {
    let mut pod = plan.objects.deployment["spec"]["template"]["spec"].clone();
    pod["restartPolicy"] = json!("OnFailure");
    pod["terminationGracePeriodSeconds"] = json!(5);
    // Shows the last log lines of a failed attempt in the pod's status.
    pod["containers"][0]["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    pod["containers"][0]["args"] = json!(arguments(job));
    template::without_token(&mut pod);
    if let Some(container) = pod["containers"][0].as_object_mut() {
        container.retain(|field, _| !field.ends_with("Probe") && field != "ports");
    }
    let pod_template = json!({ "metadata": { "labels": labels(job) }, "spec": pod });
    let spec = json!({ "backoffLimit": 1000, "template": pod_template });
    let mut job_object = object(job, "batch/v1", "Job", json!({ "spec": spec }));
    job_object["metadata"]["name"] = json!(name);
    job_object
}

fn arguments(job: &Job) -> Vec<&'static str> {
    let mut arguments = vec!["cleanup"];
    arguments.extend(job.deletion.keep_slot.then_some("--keep-slot"));
    arguments.extend(job.deletion.keep_publication.then_some("--keep-publication"));
    arguments
}

/// Not the worker's name, so that neither its Service nor its Deployment selects this pod.
fn labels(job: &Job) -> Value {
    let mut labels = names::labels(&job.identity.name);
    labels.insert("app.kubernetes.io/name", "dbmazz-cleanup".to_owned());
    json!(labels)
}
