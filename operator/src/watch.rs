//! The watches of one scope (a namespace, or the cluster), and the loop that they drive.
//!
//! A resource is read behind a guard: one that cannot be read is a poison object with a status of its own,
//! never the end of the list. Nothing is reconciled before every watch has been filled once, because what
//! is not seen would be made again.

use std::{fmt::Debug, sync::Arc, time::Duration};

use crds::ReplicationJob;
use futures::{Stream, StreamExt as _};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::DynamicObject,
    core::{ApiResource, DeserializeGuard},
    runtime::{
        Controller, WatchStreamExt as _,
        controller::Action,
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;

use crate::{
    apply::resource,
    endpoint::Readiness,
    live::{Kind, Live, LiveObject},
    names,
    reconcile::{Operator, ReconcileError, View, counted},
};

type Guarded = DeserializeGuard<ReplicationJob>;

/// What one scope sees, and who acts on it.
struct Scope {
    operator: Arc<Operator>,
    objects: Vec<(Kind, Store<DynamicObject>)>,
    pods: Store<Pod>,
}

/// Watches one scope for ever.
pub async fn watch(operator: Arc<Operator>, namespace: Option<String>, readiness: Readiness) {
    let client = &operator.client;
    let everything = watcher::Config::default();
    let mut controller = Controller::new(scoped::<Guarded>(client, namespace.as_deref()), everything);
    let mut objects = Vec::new();
    for kind in Kind::ALL {
        let (store, changes) =
            managed(dynamic(client, namespace.as_deref(), &resource(kind)), resource(kind));
        controller = controller.owns_stream_with(changes, resource(kind));
        objects.push((kind, store));
    }
    let (pods, changes) = managed(scoped::<Pod>(client, namespace.as_deref()), ());
    let controller = controller.watches_stream(changes, |pod: Pod| job_of(&pod));
    let scope = Arc::new(Scope { operator, objects, pods });
    let jobs = controller.store();
    let loop_ =
        controller.run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(5)), Arc::clone(&scope));
    let filled = async {
        if jobs.wait_until_ready().await.is_ok() && scope.is_filled().await {
            tracing::info!(namespace = namespace.as_deref().unwrap_or("*"), "watching");
            readiness.one_more();
        }
        std::future::pending::<()>().await;
    };
    let turns = loop_.for_each(|turn| {
        if let Err(error) = turn {
            tracing::warn!(error = &error as &dyn std::error::Error, "reconcile failed, trying again");
        }
        std::future::ready(())
    });
    futures::future::select(std::pin::pin!(filled), std::pin::pin!(turns)).await;
}

async fn reconcile(resource: Arc<Guarded>, scope: Arc<Scope>) -> Result<Action, ReconcileError> {
    if !scope.is_filled().await {
        return Err(ReconcileError::Blind);
    }
    let operator = &scope.operator;
    let view = scope.view(&resource.namespace().unwrap_or_default(), &resource.name_any());
    let next = counted(&operator.metrics, async {
        match &resource.0 {
            Ok(resource) => operator.reconcile(resource, view).await,
            Err(poison) => operator.reconcile_poison(poison).await,
        }
    });
    next.await.map(Action::requeue)
}

impl Scope {
    async fn is_filled(&self) -> bool {
        for (_, store) in &self.objects {
            if store.wait_until_ready().await.is_err() {
                return false;
            }
        }
        self.pods.wait_until_ready().await.is_ok()
    }

    /// Everything with the job's label.
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
    Some(LiveObject { kind, body: serde_json::to_value(object).ok()? })
}

fn belongs(object: &impl ResourceExt, namespace: &str, job: &str) -> bool {
    object.meta().namespace.as_deref() == Some(namespace)
        && object.labels().get(names::JOB_LABEL).is_some_and(|label| label == job)
}

/// A pod of the job's Deployment; a pod that only wears its labels is not asked anything.
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

/// A watch of the operator's own objects: what they are, and that they changed.
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
