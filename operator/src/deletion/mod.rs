//! Deletes a job: drops its objects at the source, by policy, and then releases the resource.
//!
//! ```text
//! no worker ever ran ───────────────────────────────────────────────────────────► released
//! worker answers ──► Stop: drain, drop ──────► marked clean ─► no pods left ─► released
//!        │ no                                                                    ▲
//!        ▼                                                                       │
//! scale to 0 ─► no pods left ─► a Job runs `dbmazz cleanup` until it succeeds ───┘
//!
//! after deletion.timeout, or when the namespace is deleted too: released, and the leak is reported
//! ```
//!
//! One step per call; progress is read from the cluster, so a restart of the operator loses nothing. A limited number
//! of deletions run at a time ([`turn`]); the deadline counts from the API server's deletion timestamp ([`deadline`]).

pub mod cleanup_job;
mod deadline;
mod evidence;
pub(crate) mod leave;
mod run_job;
mod server_time;
pub(crate) mod turn;

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use crds::ReplicationJobStatus;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use self::{deadline::Deadline, evidence::Evidence};
pub use self::{evidence::has_reached_nothing, server_time::server_time, turn::Turns};
use crate::{
    apply,
    cadence::DROP_TIME,
    control::{Control, ControlError},
    job::Job,
    live::{Kind, Live, LiveObject},
    names,
    observe::Observation,
    plan::Plan,
    pod::{self, PodFacts},
    problem::why,
    token::Tokens,
};

/// Annotation: the worker has dropped slot and publication, as far as the policy asks.
const CLEAN: &str = "dbmazz.dev/clean";

/// The result of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Everything that was not to be kept is dropped at the source.
    Done,
    /// What the deletion waits for.
    Waiting(String),
    /// The cleanup cannot complete; why.
    GivenUp(String),
}

/// The inputs of a cleanup.
#[allow(missing_debug_implementations, reason = "a client has no such form")]
pub struct Cleanup<'a> {
    pub client: &'a Client,
    pub sent: &'a apply::Sent,
    pub tokens: &'a Tokens,
    pub turns: &'a Turns,
    pub job: &'a Job,
    pub plan: Option<&'a Plan>,
    pub live: &'a Live,
    pub observation: &'a Observation,
    /// The last written status.
    pub status: &'a ReplicationJobStatus,
    /// No worker was ever seen to reach the source, and the last one reported that it cannot.
    pub reached_nothing: bool,
    pub created_at: Option<Timestamp>,
    pub deleted_at: Timestamp,
}

impl Cleanup<'_> {
    /// Whether nothing is to be dropped. Reads the Deployment from the API server where the watch shows none: it may
    /// have been created a moment ago.
    pub async fn is_needless(&self) -> bool {
        if self.job.deletion.drops_nothing() {
            return true;
        }
        let nothing = self.observation.pods.is_empty() && self.evidence().has_made_nothing();
        nothing && (self.deployment().is_some() || self.has_no_deployment().await)
    }

    /// Takes the next step. `now` is by the API server's clock.
    pub async fn step(&self, now: Timestamp) -> Progress {
        let Some(trying) = self.turns.take(&self.job.identity.uid, Instant::now()) else {
            return Progress::Waiting("Waits for other deletions: at most 20 run at a time.".to_owned());
        };
        let left = self.deadline(trying).left(now);
        if left.is_zero() {
            return Progress::GivenUp("the time that deletion.timeout allows is over".to_owned());
        }
        match self.deployment() {
            Some(deployment) if deployment.annotation(CLEAN).is_some() => self.wait_for_pods(now),
            Some(deployment) if deployment.body["spec"]["replicas"] != 0 => self.stop(left, now).await,
            None if self.reachable(now).is_some() => self.ask_the_last_worker(left, now).await,
            _ if !self.has_ended(now) => Progress::Waiting("The worker is ending.".to_owned()),
            _ => self.run_the_job().await,
        }
    }

    fn deadline(&self, trying: Duration) -> Deadline {
        let (deleted_at, timeout) = (self.deleted_at, self.job.deletion.timeout);
        Deadline { deleted_at, timeout, trying, reached_nothing: self.reached_nothing }
    }

    fn evidence(&self) -> Evidence<'_> {
        let Self { job, status, created_at, deleted_at, .. } = *self;
        Evidence { job, status, deployment: self.deployment(), created_at, deleted_at }
    }

    async fn has_no_deployment(&self) -> bool {
        let api = Api::<Deployment>::namespaced(self.client.clone(), &self.job.identity.namespace);
        matches!(api.get_metadata_opt(&names::object(&self.job.identity.name)).await, Ok(None))
    }

    /// Does not wait for a pod that is stuck: the slot of its worker, if it still runs, is in use, and the cleanup Job
    /// tries until it is not.
    fn has_ended(&self, now: Timestamp) -> bool {
        self.observation.pods.iter().all(|pod| pod.is_stuck(now))
    }

    fn deployment(&self) -> Option<&LiveObject> {
        let name = names::object(&self.job.identity.name);
        self.live.get(Kind::Deployment, &name).filter(|object| object.is_owned_by(&self.job.identity.uid))
    }

    fn wait_for_pods(&self, now: Timestamp) -> Progress {
        match self.has_ended(now) {
            true => Progress::Done,
            false => Progress::Waiting("Slot and publication are dropped. The worker is ending.".to_owned()),
        }
    }

    /// Asks the live worker to drop slot and publication; then, whatever it answered, scales the Deployment to zero.
    async fn stop(&self, left: Duration, now: Timestamp) -> Progress {
        let dropped = match self.ask_the_worker(left, now).await {
            Some(Ok(answer)) if answer.success => true,
            Some(Ok(answer)) => self.failed(&answer.message),
            Some(Err(error)) => self.failed(&error.to_string()),
            None => false,
        };
        match self.scale_to_zero(dropped).await {
            Ok(()) => Progress::Waiting("The worker is ending.".to_owned()),
            Err(error) => Progress::Waiting(format!(
                "The worker's Deployment could not be scaled to zero: {}.",
                why(&error)
            )),
        }
    }

    fn failed(&self, why: &str) -> bool {
        tracing::warn!(job = %self.job.description.job, error = why, "worker could not drop slot and publication; starting a cleanup Job");
        false
    }

    async fn ask_the_worker(
        &self,
        left: Duration,
        now: Timestamp,
    ) -> Option<Result<proto::ControlResponse, ControlError>> {
        let address = self.reachable(now)?;
        let longest = left.min(self.job.drain_timeout + DROP_TIME);
        let deletion = &self.job.deletion;
        let token = self.tokens.existing(self.job).await;
        Some(match Control::dial(address, longest, token).await {
            Ok(control) => control.stop(deletion.keep_slot, deletion.keep_publication).await,
            Err(error) => Err(error),
        })
    }

    fn reachable(&self, now: Timestamp) -> Option<IpAddr> {
        let alive: Vec<PodFacts> =
            self.observation.pods.iter().filter(|pod| !pod.is_stuck(now)).cloned().collect();
        pod::newest(alive)?.reachable_at()
    }

    /// For a worker whose Deployment was deleted, perhaps with its namespace: no other pod follows it.
    async fn ask_the_last_worker(&self, left: Duration, now: Timestamp) -> Progress {
        match self.ask_the_worker(left, now).await {
            Some(Ok(answer)) if answer.success => Progress::Done,
            _ => Progress::Waiting("The worker is ending.".to_owned()),
        }
    }

    async fn scale_to_zero(&self, dropped: bool) -> Result<(), kube::Error> {
        let mut patch = json!({ "spec": { "replicas": 0 } });
        if dropped {
            patch["metadata"] = json!({ "annotations": { CLEAN: "true" } });
        }
        let api = Api::<Deployment>::namespaced(self.client.clone(), &self.job.identity.namespace);
        let name = names::object(&self.job.identity.name);
        api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.map(|_| ())
    }
}
