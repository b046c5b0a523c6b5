//! Makes the cluster hold the plan: sends what differs, removes what is no longer planned.
//!
//! An object that fits is not sent at all, so an unchanged job writes nothing. An object that belongs to
//! somebody else is never touched, whatever its name.

mod fit;

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
use serde_json::Value;

use crate::{
    job::Job,
    live::{Kind, Live, LiveObject},
    names,
    plan::{Objects, PLAN},
    problem::{Problem, why},
};

/// Applies the objects in their order, then prunes.
pub async fn apply(client: &Client, job: &Job, objects: &Objects, live: &Live) -> Result<(), Problem> {
    for (kind, planned) in objects.in_order() {
        apply_one(client, job, kind, planned, live).await?;
    }
    prune(client, job, objects, live).await
}

/// Applies one object, if it differs.
pub(crate) async fn apply_one(
    client: &Client,
    job: &Job,
    kind: Kind,
    planned: &Value,
    live: &Live,
) -> Result<(), Problem> {
    match live.get(kind, name(planned)) {
        Some(object) if !object.is_owned_by(&job.identity.uid) => Err(taken(kind, planned)),
        Some(object) if fits(planned, object) => Ok(()),
        Some(_) => send(client, job, kind, planned).await,
        // Not among the watched objects: it may still be somebody's.
        None => create(client, job, kind, planned).await,
    }
}

fn fits(planned: &Value, live: &LiveObject) -> bool {
    let same_plan = live.annotation(PLAN) == planned["metadata"]["annotations"][PLAN].as_str();
    same_plan && fit::covers(planned, &live.body)
}

async fn create(client: &Client, job: &Job, kind: Kind, planned: &Value) -> Result<(), Problem> {
    let found = api(client, job, kind).get_opt(name(planned)).await;
    match found.map_err(|error| refused(kind, planned, &error))? {
        Some(object) if !is_ours(&object, job) => Err(taken(kind, planned)),
        _ => send(client, job, kind, planned).await,
    }
}

fn is_ours(object: &DynamicObject, job: &Job) -> bool {
    object.owner_references().iter().any(|owner| owner.uid == job.identity.uid)
}

async fn send(client: &Client, job: &Job, kind: Kind, planned: &Value) -> Result<(), Problem> {
    let parameters = PatchParams::apply(names::FIELD_MANAGER).force();
    let sent = api(client, job, kind).patch(name(planned), &parameters, &Patch::Apply(planned)).await;
    sent.map_err(|error| refused(kind, planned, &error))?;
    tracing::info!(job = %job.description.job, ?kind, name = name(planned), "object applied");
    Ok(())
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

/// How the API server calls a kind.
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

fn refused(kind: Kind, planned: &Value, error: &kube::Error) -> Problem {
    let what = format!("the {kind:?} {} could not be written: {}", name(planned), why(error));
    Problem::new(
        Reason::ObjectRefused,
        &what,
        "it is tried again by itself; if this stays, check quotas, policies and the operator's rights",
    )
}
