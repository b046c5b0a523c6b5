//! The pod template and job description in use, kept as long as they mean the same as the job.
//!
//! The *meaning* of the description is compared, read with today's types and defaults, not its bytes: a field that a
//! new version adds, with a default, changes nothing for a running job.

use crds::{JobDescription, spec::DesiredState};
use serde_json::{Value, json};

use super::{Fingerprint, STOPPED_SO_FAR, TEMPLATE, inputs, short_hash, template, without};
use crate::{
    job::Job,
    live::{Kind, Live, LiveObject},
    names,
};

/// The template and the description of the worker in use.
pub(super) struct Pinned {
    pub(super) template: Value,
    pub(super) description: Value,
}

/// The template and description in use, if the job and its credentials have not changed since.
pub(super) fn pinned(job: &Job, fingerprint: Option<&Fingerprint>, live: &Live) -> Option<Pinned> {
    let template = template_in_use(job, live)?;
    let description = description_in_use(job, live)?;
    let same_job = means(&description)? == inputs(&json!(job.description));
    let same_secrets = fingerprint.is_none_or(|now| Some(now) == fingerprint_of(&template).as_ref());
    // The two objects are watched separately: one may be newer than the other for a moment.
    let one_pair =
        template["metadata"]["annotations"][template::CONFIGURATION] == pair(job, &description, live)?;
    (same_job && same_secrets && one_pair).then_some(Pinned { template, description })
}

/// The hash that pairs the description in use with its template, as stored: another version of the operator may compute
/// another hash of the same description. Version 0.1.0 did not store it.
fn pair(job: &Job, description: &Value, live: &Live) -> Option<String> {
    const RELOADED_AT_FIRST: &[&str] =
        &["/spec/state", "/spec/deletion", "/spec/source/postgres/tables", "/spec/sink/starrocks/batch"];
    let written = own(job, live, Kind::ConfigMap)?.annotation(template::CONFIGURATION);
    Some(written.map_or_else(|| short_hash(&without(description, RELOADED_AT_FIRST)), str::to_owned))
}

/// Whether the last applied Deployment asks for a worker; a stopped job has no template to keep.
pub(super) fn is_running(job: &Job, live: &Live) -> bool {
    own(job, live, Kind::Deployment).is_some_and(|deployment| deployment.body["spec"]["replicas"] != 0)
}

/// Whether no generation of the job, up to this one, asked for a worker. The watch may be behind, so the generation
/// directly before must have been seen: one in between may have had a worker.
pub(super) fn is_stopped_so_far(job: &Job, live: &Live) -> bool {
    let generation = job.identity.generation;
    let so_far = match own(job, live, Kind::Deployment) {
        None => generation == 1,
        Some(deployment) => {
            generation == 1 || stopped_until(deployment).is_some_and(|seen| generation - seen <= 1)
        }
    };
    so_far && job.state() == DesiredState::Stopped
}

/// The generation up to which a Deployment proves that no worker ran.
pub(crate) fn stopped_until(deployment: &LiveObject) -> Option<i64> {
    deployment.annotation(STOPPED_SO_FAR)?.parse().ok()
}

/// The description as today's types read it, every default filled in.
fn means(description: &Value) -> Option<Value> {
    let description: JobDescription = serde_json::from_value(description.clone()).ok()?;
    Some(inputs(&json!(description)))
}

/// The fingerprint that the worker in use was started with.
pub(super) fn fingerprint_in_use(job: &Job, live: &Live) -> Option<Fingerprint> {
    fingerprint_of(&template_in_use(job, live)?)
}

fn fingerprint_of(template: &Value) -> Option<Fingerprint> {
    let annotation = &template["metadata"]["annotations"][template::FINGERPRINT];
    annotation.as_str().map(|text| Fingerprint(text.to_owned()))
}

fn template_in_use(job: &Job, live: &Live) -> Option<Value> {
    serde_json::from_str(own(job, live, Kind::Deployment)?.annotation(TEMPLATE)?).ok()
}

fn description_in_use(job: &Job, live: &Live) -> Option<Value> {
    serde_json::from_str(own(job, live, Kind::ConfigMap)?.body["data"]["job.json"].as_str()?).ok()
}

fn own<'a>(job: &Job, live: &'a Live, kind: Kind) -> Option<&'a LiveObject> {
    let object = live.get(kind, &names::object(&job.identity.name))?;
    object.is_owned_by(&job.identity.uid).then_some(object)
}
