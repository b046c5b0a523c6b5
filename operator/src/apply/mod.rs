//! Applies the plan to the cluster: sends objects that differ, deletes objects that are no longer planned.
//!
//! An object without differences is not sent, so an unchanged job writes nothing. An object that the job does not own
//! is never touched, whatever its name.

mod fit;
mod sent;

use std::time::Instant;

use crds::Reason;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service, ServiceAccount},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use serde_json::{Value, json};

use self::sent::Next;
pub use self::sent::Sent;
use crate::{
    job::Job,
    live::{Kind, Live, LiveObject},
    names,
    plan::{Objects, PLAN},
    problem::{Problem, why},
};

/// A client, and the record of what was sent.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "a client has no such form")]
pub struct Applier<'a> {
    pub client: &'a Client,
    pub sent: &'a Sent,
}

/// Applies the objects in their order, then prunes. Returns the first difference that others have made.
pub async fn apply(
    applier: Applier<'_>,
    job: &Job,
    objects: &Objects,
    live: &Live,
) -> Result<Option<Problem>, Problem> {
    let mut altered = None;
    for (kind, planned) in objects.in_order() {
        let changed = apply_one(applier, job, kind, planned, live).await?;
        altered = altered.or_else(|| changed.first().map(|first| self::altered(kind, planned, first)));
    }
    prune(applier.client, job, objects, live).await?;
    Ok(altered)
}

/// Applies one object if it differs, unless applying has no lasting effect; returns the remaining differences.
pub(crate) async fn apply_one(
    applier: Applier<'_>,
    job: &Job,
    kind: Kind,
    planned: &Value,
    live: &Live,
) -> Result<Vec<String>, Problem> {
    match live.get(kind, name(planned)) {
        Some(object) if !object.is_owned_by(&job.identity.uid) => Err(taken(kind, planned)),
        Some(object) => correct(applier, job, planned, object).await,
        // Not among the watched objects; a foreign object may still have its name.
        None => create(applier, job, kind, planned).await,
    }
}

async fn correct(
    applier: Applier<'_>,
    job: &Job,
    planned: &Value,
    object: &LiveObject,
) -> Result<Vec<String>, Problem> {
    let differences = fit::differences(planned, &object.body);
    if differences.is_empty() && object.annotation(PLAN) == Some(plan_of(planned)) {
        return Ok(differences);
    }
    let uid = &job.identity.uid;
    match applier.sent.next(uid, object.kind, plan_of(planned), &differences, Instant::now()) {
        Next::Leave => Ok(differences),
        Next::Wait => Ok(Vec::new()),
        Next::Send => send(applier, job, object.kind, planned).await,
    }
}

fn plan_of(planned: &Value) -> &str {
    planned["metadata"]["annotations"][PLAN].as_str().unwrap_or_default()
}

async fn create(
    applier: Applier<'_>,
    job: &Job,
    kind: Kind,
    planned: &Value,
) -> Result<Vec<String>, Problem> {
    let found = api(applier.client, job, kind).get_opt(name(planned)).await;
    match found.map_err(|error| refused(kind, planned, &error))? {
        Some(object) if !is_ours(&object, job) => Err(taken(kind, planned)),
        _ => send(applier, job, kind, planned).await,
    }
}

fn is_ours(object: &DynamicObject, job: &Job) -> bool {
    object.owner_references().iter().any(|owner| owner.uid == job.identity.uid)
}

async fn send(applier: Applier<'_>, job: &Job, kind: Kind, planned: &Value) -> Result<Vec<String>, Problem> {
    let parameters = PatchParams::apply(names::FIELD_MANAGER).force();
    let api = api(applier.client, job, kind);
    let answer = api.patch(name(planned), &parameters, &Patch::Apply(planned)).await;
    let answer = answer.map_err(|error| refused(kind, planned, &error))?;
    tracing::info!(job = %job.description.job, ?kind, name = name(planned), "object applied");
    let altered = fit::differences(planned, &json!(answer));
    applier.sent.sent(&job.identity.uid, kind, plan_of(planned), altered.clone(), Instant::now());
    Ok(altered)
}

async fn prune(client: &Client, job: &Job, objects: &Objects, live: &Live) -> Result<(), Problem> {
    let planned = objects.in_order();
    let is_planned = |object: &LiveObject| {
        planned.iter().any(|(kind, body)| *kind == object.kind && name(body) == object.name())
    };
    for object in
        live.objects.iter().filter(|object| object.is_owned_by(&job.identity.uid) && !is_planned(object))
    {
        let deleted = api(client, job, object.kind).delete(object.name(), &DeleteParams::background()).await;
        deleted.map_err(|error| refused(object.kind, &object.body, &error))?;
        tracing::info!(job = %job.description.job, kind = ?object.kind, name = object.name(), "object pruned");
    }
    Ok(())
}

fn api(client: &Client, job: &Job, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &job.identity.namespace, &resource(kind))
}

/// The API server's name for a kind.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
        Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::Deployment => ApiResource::erase::<Deployment>(&()),
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn taken(kind: Kind, planned: &Value) -> Problem {
    let what = format!("the {kind:?} {} exists and does not belong to this job", name(planned));
    Problem::new(Reason::NameTaken, &what, "remove it, or give the job another name")
}

fn altered(kind: Kind, planned: &Value, difference: &str) -> Problem {
    let what = format!("the {kind:?} {} is not as planned: {difference}", name(planned));
    let fix = "an admission policy or another controller changes it; it is left as it is, or applied again at most every five \
               minutes. If that is not intended, exempt the objects of this operator from the policy";
    Problem::new(Reason::ObjectAltered, &what, fix)
}

fn refused(kind: Kind, planned: &Value, error: &kube::Error) -> Problem {
    let what = format!("the {kind:?} {} could not be written: {}", name(planned), why(error));
    Problem::new(
        Reason::ObjectRefused,
        &what,
        "the operator tries again; if this persists, check quotas, policies and the operator's permissions",
    )
}
