//! The pod of a worker: one container under the restricted pod security standard, two volumes, no service account
//! token.

use crds::{
    description,
    spec::{CredentialsSecret, LogLevel, Resources},
};
use serde_json::{Value, json};

use super::{Defaults, Fingerprint, inputs, short_hash};
use crate::{job::Job, names};

/// The port of the worker's control interface.
pub(crate) const GRPC_PORT: u16 = 50051;
/// The port for probes, status and metrics.
pub(crate) const HTTP_PORT: u16 = 8080;
/// The annotation that restarts a worker when its credentials change.
pub(super) const FINGERPRINT: &str = "dbmazz.dev/secrets";
/// The annotation that restarts a worker when its job changes.
pub(super) const CONFIGURATION: &str = "dbmazz.dev/job-description";

/// The key of the control Secret.
pub(crate) const TOKEN_KEY: &str = "token";
/// The variable with the path of the control token.
const TOKEN_VARIABLE: &str = "DBMAZZ_CONTROL_TOKEN_FILE";

/// Added to the drain timeout: after the drain the worker still confirms and closes its connections.
const AFTER_THE_DRAIN: u64 = 15;
/// The worker's state directory, which the next container of the same pod reads.
const STATE_DIRECTORY: &str = "/var/lib/dbmazz";
const USER: u32 = 65_532;

/// The template for a worker that is started now.
pub(super) fn pod_template(job: &Job, fingerprint: &Fingerprint, defaults: &Defaults) -> Value {
    let annotations = json!({
        CONFIGURATION: short_hash(&inputs(&json!(job.description))),
        FINGERPRINT: fingerprint.0,
    });
    json!({
        "metadata": { "labels": names::labels(&job.identity.name), "annotations": annotations },
        "spec": pod(job, defaults),
    })
}

fn pod(job: &Job, defaults: &Defaults) -> Value {
    json!({
        "serviceAccountName": names::object(&job.identity.name),
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": job.drain_timeout.as_secs() + AFTER_THE_DRAIN,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [container(job, defaults)],
        "volumes": [
            { "name": "job", "projected": { "defaultMode": 0o440, "sources": sources(job) } },
            // The journal of loads in flight outlives the container; it consists of a few empty files.
            { "name": "state", "emptyDir": { "sizeLimit": "16Mi" } },
        ],
    })
}

fn container(job: &Job, defaults: &Defaults) -> Value {
    let worker = &job.description.spec.worker;
    let image = if worker.image.is_empty() { &defaults.image } else { &worker.image };
    json!({
        "name": names::CONTAINER,
        "image": image,
        "imagePullPolicy": defaults.image_pull_policy,
        "env": environment(worker.log_level),
        // Puts the last log lines of an ended worker into the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "ports": [
            { "name": "http", "containerPort": HTTP_PORT, "protocol": "TCP" },
            { "name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP" },
        ],
        "livenessProbe": probe("/livez", 10),
        "readinessProbe": probe("/readyz", 5),
        "resources": resources(&worker.resources),
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": [
            { "name": "job", "mountPath": description::DIRECTORY, "readOnly": true },
            { "name": "state", "mountPath": STATE_DIRECTORY },
        ],
    })
}

fn environment(log_level: LogLevel) -> Value {
    json!([
        { "name": "DBMAZZ_JOB_DIR", "value": description::DIRECTORY },
        { "name": "DBMAZZ_STATE_DIR", "value": STATE_DIRECTORY },
        { "name": TOKEN_VARIABLE, "value": format!("{}/{}", description::DIRECTORY, description::CONTROL_TOKEN) },
        { "name": "GRPC_PORT", "value": GRPC_PORT.to_string() },
        { "name": "HTTP_API_PORT", "value": HTTP_PORT.to_string() },
        { "name": "HTTP_API_HOST", "value": "0.0.0.0" },
        { "name": "RUST_LOG", "value": log_filter(log_level) },
    ])
}

fn log_filter(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        // The libraries log far too much at this level.
        LogLevel::Debug => "info,worker=debug,dbmazz=debug",
    }
}

fn probe(path: &str, every_seconds: u32) -> Value {
    json!({
        "httpGet": { "path": path, "port": "http", "scheme": "HTTP" },
        "periodSeconds": every_seconds, "timeoutSeconds": 3, "failureThreshold": 3,
    })
}

/// Without empty maps: the API server drops them, which would look like a change.
fn resources(asked: &Resources) -> Value {
    let mut resources = json!({});
    for (name, amounts) in [("requests", &asked.requests), ("limits", &asked.limits)] {
        if !amounts.is_empty() {
            resources[name] = json!(amounts);
        }
    }
    resources
}

/// Whether a worker with this template gets the token of its control port: an earlier version gave none.
pub(super) fn has_token(template: &Value) -> bool {
    let volumes = template["spec"]["volumes"].as_array().into_iter().flatten();
    let mut sources = volumes.filter_map(|volume| volume["projected"]["sources"].as_array()).flatten();
    sources.any(is_token)
}

/// The cleanup pod accepts no commands, so it needs no token and must not wait for one.
pub(crate) fn without_token(pod: &mut Value) {
    for volume in pod["volumes"].as_array_mut().into_iter().flatten() {
        if let Some(sources) = volume.pointer_mut("/projected/sources").and_then(Value::as_array_mut) {
            sources.retain(|source| !is_token(source));
        }
    }
    if let Some(variables) = pod.pointer_mut("/containers/0/env").and_then(Value::as_array_mut) {
        variables.retain(|variable| variable["name"] != TOKEN_VARIABLE);
    }
}

fn is_token(source: &Value) -> bool {
    source["secret"]["items"][0]["path"] == description::CONTROL_TOKEN
}

/// The description and the used keys of the Secrets, under names that do not depend on the user's.
fn sources(job: &Job) -> Vec<Value> {
    let spec = &job.description.spec;
    let postgres = &spec.source.postgres;
    let configuration = json!({ "configMap": {
        "name": names::object(&job.identity.name),
        "items": [{ "key": "job.json", "path": description::JOB_FILE }],
    } });
    let source = &postgres.credentials.secret_ref;
    let sink = &spec.sink.starrocks.credentials.secret_ref;
    let mut sources = vec![
        configuration,
        credentials(source, description::SOURCE_USERNAME, description::SOURCE_PASSWORD),
        credentials(sink, description::SINK_USERNAME, description::SINK_PASSWORD),
        secret(&names::control(&job.identity.name), &[(TOKEN_KEY, description::CONTROL_TOKEN)]),
    ];
    if let Some(ca) = &postgres.tls.ca_secret_ref {
        sources.push(secret(&ca.name, &[(&ca.key, description::SOURCE_CA)]));
    }
    sources
}

fn credentials(reference: &CredentialsSecret, username: &str, password: &str) -> Value {
    secret(&reference.name, &[(&reference.username_key, username), (&reference.password_key, password)])
}

fn secret(name: &str, keys: &[(&str, &str)]) -> Value {
    let items: Vec<_> = keys.iter().map(|(key, path)| json!({ "key": key, "path": path })).collect();
    json!({ "secret": { "name": name, "items": items } })
}
