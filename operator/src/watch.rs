//! The watches of one scope (a namespace, or the cluster), and the controller loop that they drive.
//!
//! A resource is read through [`DeserializeGuard`]: one that cannot be read gets a status of its own and does not fail
//! the list. No job is reconciled before every watch has its first list, because an object that is not seen would be
//! created again.

use std::{fmt::Debug, sync::Arc};

use crds::ReplicationJob;
use futures::{Stream, StreamExt as _};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::DynamicObject,
    core::{ApiResource, DeserializeGuard},
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{self, Action},
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::{
    apply::resource,
    cadence::RETRY_AFTER_ERROR,
    endpoint::Readiness,
    live::{Kind, Live, LiveObject},
    names,
    reconcile::{Operator, ReconcileError, View, counted},
};

type Guarded = DeserializeGuard<ReplicationJob>;
type Failure = controller::Error<ReconcileError, watcher::Error>;

/// Concurrent reconciles: bounds memory and requests for any number of jobs. Larger than the number of concurrent
/// deletions (20), which may wait long for a worker, so that deletions do not delay other jobs.
const AT_A_TIME: u16 = 64;

/// The watches of one scope, and the operator that acts on them.
struct Scope {
    operator: Arc<Operator>,
    objects: Vec<(Kind, Store<DynamicObject>)>,
    pods: Store<Pod>,
    /// Whether every watch has its first list.
    filled: watch::Sender<bool>,
}

/// Watches one scope for ever.
pub async fn watch_jobs(operator: Arc<Operator>, namespace: Option<String>, readiness: Readiness) {
    let (controller, scope) = prepare(operator, namespace.as_deref());
    let again = |_, _: &ReconcileError, _| Action::requeue(RETRY_AFTER_ERROR);
    let reconciles =
        controller.run(reconcile, again, Arc::clone(&scope)).for_each(async |result| log(result));
    let filled = async {
        if scope.fill().await {
            tracing::info!(namespace = namespace.as_deref().unwrap_or("*"), "watching");
            scope.filled.send_replace(true);
            readiness.one_more();
        }
        std::future::pending::<()>().await;
    };
    // The controller polls the watches, which `filled` waits for.
    futures::future::select(std::pin::pin!(filled), std::pin::pin!(reconciles)).await;
}

fn prepare(operator: Arc<Operator>, namespace: Option<&str>) -> (Controller<Guarded>, Arc<Scope>) {
    let client = operator.watching.clone();
    let mut controller = Controller::new(scoped::<Guarded>(&client, namespace), watcher::Config::default())
        .with_config(controller::Config::default().concurrency(AT_A_TIME));
    let mut objects = Vec::new();
    for kind in Kind::ALL {
        let (store, changes) = managed(dynamic(&client, namespace, &resource(kind)), resource(kind));
        controller = controller.owns_stream_with(changes, resource(kind));
        objects.push((kind, store));
    }
    let (pods, changes) = managed(scoped::<Pod>(&client, namespace), ());
    let controller = controller.watches_stream(changes, |pod: Pod| job_of(&pod));
    (controller, Arc::new(Scope { operator, objects, pods, filled: watch::Sender::new(false) }))
}

fn log(result: Result<(ObjectRef<Guarded>, Action), Failure>) {
    match result {
        // An owned object outlives its job for a moment.
        Ok(_) | Err(Failure::ObjectNotFound(_)) => {}
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "reconcile failed, trying again");
        }
    }
}

async fn reconcile(resource: Arc<Guarded>, scope: Arc<Scope>) -> Result<Action, ReconcileError> {
    scope.filled.subscribe().wait_for(|filled| *filled).await.map_err(|_| ReconcileError::Blind)?;
    let operator = &scope.operator;
    let view = scope.view(&resource.namespace().unwrap_or_default(), &resource.name_any());
    let next = counted(&operator.metrics, async {
        match &resource.0 {
            Ok(resource) => operator.reconcile(resource, view).await,
            Err(poison) => operator.reconcile_poison(poison, view).await,
        }
    });
    next.await.map(Action::requeue)
}

impl Scope {
    /// Must be awaited only once: a store wakes only the last of its waiters.
    async fn fill(&self) -> bool {
        for (_, store) in &self.objects {
            if store.wait_until_ready().await.is_err() {
                return false;
            }
        }
        self.pods.wait_until_ready().await.is_ok()
    }

    /// All objects with the job's label.
    fn view(&self, namespace: &str, job: &str) -> View {
        let objects = self.objects.iter().flat_map(|(kind, store)| {
            let found = store.state_filter(|object: &DynamicObject| belongs(object, namespace, job));
            found.into_iter().filter_map(|object| live_object(*kind, &object))
        });
        View {
            live: Live { objects: objects.collect() },
            pods: self.pods.state_filter(|pod: &Pod| is_worker(pod, namespace, job)),
        }
    }
}

fn live_object(kind: Kind, object: &DynamicObject) -> Option<LiveObject> {
    let mut body = serde_json::to_value(object).ok()?;
    // Items of a list carry neither apiVersion nor kind, and would differ from the plan.
    let resource = resource(kind);
    body["apiVersion"] = resource.api_version.into();
    body["kind"] = resource.kind.into();
    Some(LiveObject { kind, body })
}

fn belongs(object: &impl ResourceExt, namespace: &str, job: &str) -> bool {
    object.meta().namespace.as_deref() == Some(namespace)
        && object.labels().get(names::JOB_LABEL).is_some_and(|label| label == job)
}

/// A pod of the job's Deployment; a pod that only has its labels is never called.
fn is_worker(pod: &Pod, namespace: &str, job: &str) -> bool {
    let of_the_deployment = format!("{}-", names::object(job));
    let made_by = |owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference| {
        owner.kind == "ReplicaSet" && owner.name.starts_with(&of_the_deployment)
    };
    belongs(pod, namespace, job) && pod.owner_references().iter().any(made_by)
}

fn job_of(pod: &Pod) -> Option<ObjectRef<Guarded>> {
    let job = pod.labels().get(names::JOB_LABEL)?;
    Some(ObjectRef::new(job).within(pod.metadata.namespace.as_deref()?))
}

/// A watch of the operator's own objects: a store of them, and a stream of changes.
fn managed<K>(
    api: Api<K>,
    type_: K::DynamicType,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + std::hash::Hash + Send + Sync,
{
    let writer = Writer::new(type_);
    let store = writer.as_reader();
    let watched = watcher(api, watcher::Config::default().labels(names::MANAGED));
    let changes = watched
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .touched_objects();
    (store, changes)
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn dynamic(client: &Client, namespace: Option<&str>, resource: &ApiResource) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_from_a_list_is_what_it_is() {
        let listed: DynamicObject =
            serde_json::from_str(r#"{"metadata": {"name": "dbmazz-orders"}}"#).unwrap();
        let object = live_object(Kind::Deployment, &listed).unwrap();
        assert_eq!(
            (&object.body["apiVersion"], &object.body["kind"]),
            (&"apps/v1".into(), &"Deployment".into())
        );
    }
}
