//! The reconcile of one job, from the resource to its status. A deleted job is handled in [`crate::deletion`].

mod clock;
mod memory;

use std::time::{Duration, Instant};

use crds::{Reason, ReplicationJob, ReplicationJobStatus, status::Stage};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, api::ObjectMeta, core::error_boundary::InvalidObject};
use tokio::time::timeout;

pub use self::{clock::Clock, memory::Memory};
use crate::{
    apply::{Applier, Sent, apply},
    cadence::{LONGEST_RECONCILE, MOVING, RESTING, next_look},
    deletion::Turns,
    job::{Identity, Job},
    live::Live,
    metrics::Metrics,
    names,
    observe::{Observation, look, observe},
    patch::{Events, patch, publish_events, set_finalizer},
    plan::{Defaults, Fingerprint, Plan, plan},
    problem::Problem,
    resolve::Secrets,
    status::{Facts, status},
    token::{Token, Tokens},
    validate::{last_known, validate},
};

/// The state that every reconcile uses.
#[allow(missing_debug_implementations, reason = "a client has no such form")]
pub struct Operator {
    /// For requests: each has a time limit.
    pub client: Client,
    /// For watches: without a time limit.
    pub watching: Client,
    pub events: Events,
    pub secrets: Secrets,
    pub tokens: Tokens,
    pub defaults: Defaults,
    pub metrics: std::sync::Arc<Metrics>,
    pub memory: Memory,
    pub sent: Sent,
    /// The turns of deletions.
    pub turns: Turns,
    pub clock: Clock,
}

/// The objects of one job, as the watches show them.
#[derive(Debug)]
pub struct View {
    pub live: Live,
    pub pods: Vec<std::sync::Arc<Pod>>,
}

impl View {
    fn pods(&self) -> Vec<Pod> {
        self.pods.iter().map(|pod| (**pod).clone()).collect()
    }
}

/// A failed reconcile, which is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("the api server refused a change")]
    Refused(#[from] kube::Error),
    #[error("the watches have ended")]
    Blind,
    #[error("the reconcile took longer than {LONGEST_RECONCILE:?}")]
    TooLong,
}

impl Operator {
    /// Reconciles one job. Returns the delay until the next reconcile.
    pub async fn reconcile(&self, resource: &ReplicationJob, view: View) -> Result<Duration, ReconcileError> {
        let pods = view.pods();
        let reconcile = Reconcile { operator: self, resource, live: &view.live, pods: &pods };
        match &resource.metadata.deletion_timestamp {
            Some(deleted_at) if has_finalizer(&resource.metadata) => reconcile.leave(deleted_at.0).await,
            Some(_) => Ok(RESTING),
            None => timeout(LONGEST_RECONCILE, reconcile.run()).await.map_err(|_| ReconcileError::TooLong)?,
        }
    }

    /// A resource that cannot be read: its worker keeps its last job description, its status says so, and it can be
    /// deleted like any other. Other resources are not affected.
    pub async fn reconcile_poison(
        &self,
        poison: &InvalidObject,
        view: View,
    ) -> Result<Duration, ReconcileError> {
        let identity = identity(&poison.metadata);
        let problem = unreadable(&poison.error);
        let known = last_known(identity.clone(), &view.live);
        // [`kube::core::DeserializeGuard`] keeps only the metadata of such a resource.
        let before = self.memory.last(&identity.uid);
        if poison.metadata.deletion_timestamp.is_some() {
            return match known {
                Some(job) => self.reconcile(&job.resource(&poison.metadata, before), view).await,
                None if has_finalizer(&poison.metadata) => self.give_up(&identity, &problem).await,
                None => Ok(RESTING),
            };
        }
        let pods = view.pods();
        let observation = as_last_known(known.as_ref(), &identity, &pods, &view.live).await;
        let facts = Facts { job: Err(&problem), ..nothing_known(&identity, &observation) };
        let stage = self.report(&identity, &before, &facts).await?;
        Ok(next_look(stage, &facts))
    }

    fn applier(&self) -> Applier<'_> {
        Applier { client: &self.client, sent: &self.sent }
    }

    /// Forgets a job that is gone.
    pub fn forget(&self, uid: &str) {
        self.sent.forget(uid);
        self.secrets.forget(uid);
        self.tokens.forget(uid);
        self.metrics.staged(uid, None);
        self.memory.forget(uid);
        self.turns.give_back(uid);
    }

    /// Writes status and events. `before` is the stored status.
    pub(crate) async fn report(
        &self,
        identity: &Identity,
        before: &ReplicationJobStatus,
        facts: &Facts<'_>,
    ) -> Result<Stage, ReconcileError> {
        let now = status(before, facts, Timestamp::now());
        if let Some(version) = patch(&self.client, identity, before, &now).await? {
            self.metrics.status_written();
            self.memory.write(&identity.uid, &now, version);
        }
        publish_events(&self.events, identity, before, &now).await;
        self.metrics.staged(&identity.uid, Some(now.stage));
        Ok(now.stage)
    }
}

/// One reconcile of one readable resource.
pub(crate) struct Reconcile<'a> {
    pub(crate) operator: &'a Operator,
    pub(crate) resource: &'a ReplicationJob,
    pub(crate) live: &'a Live,
    pub(crate) pods: &'a [Pod],
}

impl Reconcile<'_> {
    async fn run(&self) -> Result<Duration, ReconcileError> {
        let identity = identity(&self.resource.metadata);
        if !has_finalizer(&self.resource.metadata) {
            set_finalizer(&self.operator.client, &identity, true).await?;
            return Ok(MOVING);
        }
        let secrets = self.operator.secrets.resolve(self.resource).await;
        let job = validate(&self.as_stored());
        let plan = job.as_ref().ok().and_then(|job| self.plan(job, secrets.as_ref().ok()));
        let token = match (&job, &plan) {
            (Ok(job), Some(plan)) => self.token(job, plan).await,
            _ => Ok(None),
        };
        let applied = match (&job, &plan, &token) {
            (Ok(job), Some(plan), Ok(_)) => {
                apply(self.operator.applier(), job, &plan.objects, self.live).await
            }
            _ => token.as_ref().map(|_| None).map_err(Clone::clone),
        };
        let observation = match &job {
            Ok(job) => observe(job, plan.as_ref(), self.pods, self.live, token.ok().flatten()).await,
            Err(_) => look(self.pods, self.live, &identity.name),
        };
        if observation.command_refused.is_some() {
            // The token may have been changed.
            self.operator.tokens.forget(&identity.uid);
        }
        let facts = Facts {
            job: job.as_ref(),
            secrets: secrets.as_ref().err(),
            plan: plan.as_ref(),
            apply: applied.as_ref().err(),
            altered: applied.as_ref().ok().and_then(Option::as_ref),
            ..nothing_known(&identity, &observation)
        };
        let stage = self.operator.report(&identity, &self.stored(), &facts).await?;
        Ok(next_look(stage, &facts))
    }

    pub(crate) fn plan(&self, job: &Job, fingerprint: Option<&Fingerprint>) -> Option<Plan> {
        plan(job, fingerprint, self.live, &self.operator.defaults)
    }

    /// Creates the token before the pod, which waits for it. A worker that an earlier version started has none, and a
    /// stopped job needs none.
    async fn token(&self, job: &Job, plan: &Plan) -> Result<Option<Token>, Problem> {
        if !plan.has_token || job.has_no_worker() {
            return Ok(None);
        }
        self.operator.tokens.ensure(job).await.map(Some)
    }

    /// The resource with its stored status.
    fn as_stored(&self) -> ReplicationJob {
        ReplicationJob { status: Some(self.stored()), ..self.resource.clone() }
    }

    /// The stored status, which the watch may not show yet.
    pub(crate) fn stored(&self) -> ReplicationJobStatus {
        let metadata = &self.resource.metadata;
        let (uid, version) =
            (metadata.uid.as_deref().unwrap_or_default(), metadata.resource_version.as_deref());
        self.operator.memory.stored(uid, &self.resource.status.clone().unwrap_or_default(), version)
    }
}

fn unreadable(error: &str) -> Problem {
    Problem::new(
        Reason::BadConfiguration,
        &format!("the resource cannot be read: {error}"),
        "correct the resource, or upgrade the operator if it was written for a newer one; \
         until then a running worker keeps its last job description",
    )
}

/// Observes the worker by its last known job.
async fn as_last_known(known: Option<&Job>, identity: &Identity, pods: &[Pod], live: &Live) -> Observation {
    match known {
        Some(job) => observe(job, None, pods, live, None).await,
        None => look(pods, live, &identity.name),
    }
}

pub(crate) fn nothing_known<'a>(identity: &Identity, observation: &'a Observation) -> Facts<'a> {
    static UNREAD: std::sync::LazyLock<Problem> =
        std::sync::LazyLock::new(|| Problem::new(Reason::NotObserved, "the resource was not read", ""));
    Facts {
        generation: identity.generation,
        job: Err(&UNREAD),
        secrets: None,
        plan: None,
        apply: None,
        altered: None,
        observation,
        deleting: None,
    }
}

fn has_finalizer(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|name| name == names::FINALIZER)
}

pub(crate) fn identity(metadata: &ObjectMeta) -> Identity {
    Identity {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
    }
}

/// Counts and times a reconcile.
pub async fn counted<T>(
    metrics: &Metrics,
    work: impl Future<Output = Result<T, ReconcileError>>,
) -> Result<T, ReconcileError> {
    let began = Instant::now();
    let result = work.await;
    metrics.reconciled(result.is_ok(), began.elapsed());
    result
}
