//! From a job to the objects that make it run. Pure: same job, same bytes.
//!
//! A pod template in use is kept, byte for byte, until the job itself or its credentials change ([`pin`]), so that a
//! new operator version with another template restarts no worker.

mod config_map;
mod deployment;
pub(crate) mod object;
mod pin;
mod service;
mod service_account;
pub(crate) mod template;

use std::collections::BTreeMap;

pub(crate) use pin::stopped_until;
use serde_json::{Value, json};
pub(crate) use template::{GRPC_PORT, TOKEN_KEY};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    job::Job,
    live::{Kind, Live},
};

/// The pod template as it was planned, kept beside the Deployment.
const TEMPLATE: &str = "dbmazz.dev/pod-template";
/// A hash of the plan: a plan that drops a field must be sent although every other field is equal.
pub(crate) const PLAN: &str = "dbmazz.dev/plan";

/// On the Deployment of a job that was always Stopped: the latest generation that was seen Stopped. It proves that no
/// worker ever ran.
pub(crate) const STOPPED_SO_FAR: &str = "dbmazz.dev/stopped-so-far";

/// The operator's values for what a job leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    pub image: String,
    pub image_pull_policy: String,
}

/// A hash of the used keys of the job's Secrets. It changes if and only if their content does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(pub String);

/// The objects of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    pub service_account: Value,
    pub config_map: Value,
    pub service: Value,
    pub deployment: Value,
}

impl Objects {
    /// The objects in the order in which they are applied.
    pub fn in_order(&self) -> [(Kind, &Value); 4] {
        let Self { service_account, config_map, service, deployment } = self;
        [
            (Kind::ServiceAccount, service_account),
            (Kind::ConfigMap, config_map),
            (Kind::Service, service),
            (Kind::Deployment, deployment),
        ]
    }
}

/// What the cluster should contain for a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub objects: Objects,
    /// The image of the worker.
    pub image: String,
    /// Whether the worker gets a token, without which it accepts no command.
    pub has_token: bool,
    /// Whether this operator would start the worker in the same way.
    pub freshness: Freshness,
}

impl Plan {
    /// Whether a pod with these annotations was created from this plan's template.
    pub fn made(&self, annotations: &BTreeMap<String, String>) -> bool {
        let template = &self.objects.deployment["spec"]["template"]["metadata"]["annotations"];
        let mut planned = template.as_object().into_iter().flatten();
        planned.all(|(name, value)| annotations.get(name).map(String::as_str) == value.as_str())
    }
}

/// How a running worker differs from one that this operator would start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// A new worker would get this image.
    OtherImage(String),
    /// A new worker would get the same image and another pod template.
    OtherTemplate,
}

/// Plans a job. Without a fingerprint, because a Secret cannot be read now, a running job is planned with the
/// fingerprint in use, and one that does not run is not planned.
pub fn plan(job: &Job, fingerprint: Option<&Fingerprint>, live: &Live, defaults: &Defaults) -> Option<Plan> {
    let pinned = pin::pinned(job, fingerprint, live).filter(|_| pin::is_running(job, live));
    let fingerprint = fingerprint.cloned().or_else(|| pin::fingerprint_in_use(job, live))?;
    let fresh = template::pod_template(job, &fingerprint, defaults);
    let freshness = pinned.as_ref().map_or(Freshness::Fresh, |pinned| freshness(&pinned.template, &fresh));
    let (template, description) = match pinned {
        Some(pinned) => (pinned.template, pinned.description),
        None => (fresh, json!(job.description)),
    };
    Some(Plan {
        image: image(&template).to_owned(),
        has_token: template::has_token(&template),
        objects: Objects {
            service_account: service_account::service_account(job),
            config_map: config_map::config_map(job, description, &template),
            service: service::service(job),
            deployment: deployment::deployment(job, &template, live),
        },
        freshness,
    })
}

fn freshness(pinned: &Value, fresh: &Value) -> Freshness {
    match (pinned == fresh, image(pinned) == image(fresh)) {
        (true, _) => Freshness::Fresh,
        (false, true) => Freshness::OtherTemplate,
        (false, false) => Freshness::OtherImage(image(fresh).to_owned()),
    }
}

fn image(template: &Value) -> &str {
    template["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

/// Fields that are sent to a running worker over gRPC, or that only the operator uses: a change restarts no worker.
const RELOADED: &[&str] = &[
    "/spec/state",
    "/spec/deletion",
    "/spec/source/postgres/tables",
    "/spec/sink/starrocks/batch",
    // A job has it beside its description.
    "/spec/snapshot/request",
    "/spec/snapshot/requestTables",
];

/// The part of a description whose change restarts the worker.
fn inputs(description: &Value) -> Value {
    without(description, RELOADED)
}

fn without(description: &Value, pointers: &[&str]) -> Value {
    let mut rest = description.clone();
    for (parent, field) in pointers.iter().filter_map(|pointer| pointer.rsplit_once('/')) {
        if let Some(parent) = rest.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.remove(field);
        }
    }
    rest
}

fn short_hash(value: &Value) -> String {
    // Sorted, because the order of fields depends on build features, and another hash would restart every worker.
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    format!("{:016x}", xxh3_64(sorted.to_string().as_bytes()))
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
