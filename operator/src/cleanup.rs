//! What happens when a job is deleted: its objects at the source go too, by policy, and then the resource.
//!
//! ```text
//! worker answers ──► Stop: drain, drop ──────► marked clean ─► no pods left ─► released
//!        │ no                                                                    ▲
//!        ▼                                                                       │
//! scale to 0 ─► no pods left ─► a Job runs `dbmazz cleanup` until it succeeds ───┘
//!
//! after deletion.timeout, or when the namespace goes too: released, and the leak is reported
//! ```
//!
//! One step per call; what is done is read from the cluster, so a restart of the operator loses nothing.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job as BatchJob, core::v1::ConfigMap};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    apply,
    control::{Control, Silence},
    job::Job,
    live::{Kind, Live, LiveObject},
    names,
    observe::Observation,
    plan::{Plan, cleanup::cleanup_job},
    problem::why,
};

/// The worker has dropped what was to be dropped.
const CLEAN: &str = "dbmazz.dev/clean";
/// After the drain the worker still has to drop.
const TO_DROP: Duration = Duration::from_secs(20);

/// How far a cleanup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is left at the source that was not to stay.
    Done,
    /// For what.
    Waiting(String),
    /// It will not happen any more; why.
    GivenUp(String),
}

/// Everything a cleanup needs to know.
#[allow(missing_debug_implementations, reason = "a client has no such form")]
pub struct Cleanup<'a> {
    pub client: &'a Client,
    pub job: &'a Job,
    pub plan: Option<&'a Plan>,
    pub live: &'a Live,
    pub observation: &'a Observation,
    /// A worker once ran, as far as the status knows.
    pub ever_ran: bool,
    /// When the resource was deleted, or when an operator first saw it.
    pub since: Timestamp,
}

impl Cleanup<'_> {
    /// Takes the next step.
    pub async fn step(&self, now: Timestamp) -> Progress {
        let left = self.time_left(now);
        if self.job.deletion.drops_nothing() || self.nothing_was_made() {
            return Progress::Done;
        }
        if left.is_zero() {
            return Progress::GivenUp("the time that deletion.timeout allows is over".to_owned());
        }
        match self.deployment() {
            Some(deployment) if deployment.annotation(CLEAN).is_some() => self.wait_for_the_end(),
            Some(deployment) if deployment.body["spec"]["replicas"] != 0 => self.stop(left).await,
            None if self.reachable().is_some() => self.ask_the_last_worker(left).await,
            _ if !self.observation.pods.is_empty() => Progress::Waiting("The worker is ending.".to_owned()),
            _ => self.run_the_job().await,
        }
    }

    fn time_left(&self, now: Timestamp) -> Duration {
        let gone = now.duration_since(self.since).unsigned_abs();
        self.job.deletion.timeout.saturating_sub(gone)
    }

    /// No worker ever ran, so there is neither slot nor publication.
    fn nothing_was_made(&self) -> bool {
        !self.ever_ran && self.deployment().is_none() && self.observation.pods.is_empty()
    }

    fn deployment(&self) -> Option<&LiveObject> {
        let name = names::object(&self.job.identity.name);
        self.live.get(Kind::Deployment, &name).filter(|object| object.is_owned_by(&self.job.identity.uid))
    }

    fn wait_for_the_end(&self) -> Progress {
        match self.observation.pods.is_empty() {
            true => Progress::Done,
            false => Progress::Waiting("Slot and publication are dropped. The worker is ending.".to_owned()),
        }
    }

    /// Asks the live worker to drop; then, whatever it said, lets no worker run any more.
    async fn stop(&self, left: Duration) -> Progress {
        let dropped = match self.ask_the_worker(left).await {
            Some(Ok(answer)) if answer.success => true,
            Some(Ok(answer)) => self.failed(&answer.message),
            Some(Err(silence)) => self.failed(&silence.to_string()),
            None => false,
        };
        match self.scale_to_zero(dropped).await {
            Ok(()) => Progress::Waiting("The worker is ending.".to_owned()),
            Err(error) => Progress::Waiting(format!("The worker could not be ended: {}.", why(&error))),
        }
    }

    fn failed(&self, why: &str) -> bool {
        tracing::warn!(job = %self.job.description.job, error = why, "worker did not drop, a job will");
        false
    }

    async fn ask_the_worker(&self, left: Duration) -> Option<Result<proto::ControlResponse, Silence>> {
        let address = self.reachable()?;
        let longest = left.min(self.job.drain_timeout + TO_DROP);
        let deletion = &self.job.deletion;
        Some(match Control::dial(address, longest).await {
            Ok(control) => control.stop(deletion.keep_slot, deletion.keep_publication).await,
            Err(silence) => Err(silence),
        })
    }

    fn reachable(&self) -> Option<IpAddr> {
        self.observation.pod()?.reachable_at()
    }

    /// Somebody deleted the Deployment, or the whole namespace: this worker has no successor.
    async fn ask_the_last_worker(&self, left: Duration) -> Progress {
        match self.ask_the_worker(left).await {
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

    async fn run_the_job(&self) -> Progress {
        let api = Api::<BatchJob>::namespaced(self.client.clone(), &self.job.identity.namespace);
        match api.get_opt(&names::cleanup(&self.job.identity.name)).await {
            Ok(Some(job)) if job.status.as_ref().is_some_and(|status| status.succeeded > Some(0)) => {
                Progress::Done
            }
            Ok(Some(_)) => Progress::Waiting("The cleanup job is dropping slot and publication.".to_owned()),
            Ok(None) => self.start_the_job(&api).await,
            Err(error) => Progress::Waiting(format!("The cleanup job cannot be seen: {}.", why(&error))),
        }
    }

    async fn start_the_job(&self, api: &Api<BatchJob>) -> Progress {
        let Some(plan) = self.plan else { return self.without_credentials().await };
        for (kind, planned) in plan.objects.in_order() {
            if matches!(kind, Kind::ConfigMap | Kind::ServiceAccount)
                && let Err(problem) = apply::apply_one(self.client, self.job, kind, planned, self.live).await
            {
                return undone(&problem.message);
            }
        }
        match self.send(api, &cleanup_job(self.job, plan)).await {
            Ok(()) => Progress::Waiting("The cleanup job is starting.".to_owned()),
            Err(error) => undone(&why(&error)),
        }
    }

    /// In a namespace that goes they will not come back.
    async fn without_credentials(&self) -> Progress {
        let name = names::cleanup(&self.job.identity.name);
        let probe = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
        let parameters = PatchParams::apply(names::FIELD_MANAGER).dry_run();
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), &self.job.identity.namespace);
        match api.patch(&name, &parameters, &Patch::Apply(probe)).await {
            Err(error) if is_terminating(&why(&error)) => undone(&why(&error)),
            _ => Progress::Waiting(
                "The credentials are missing, so nothing can be dropped at the source.".to_owned(),
            ),
        }
    }

    async fn send(&self, api: &Api<BatchJob>, job: &Value) -> Result<(), kube::Error> {
        let parameters = PatchParams::apply(names::FIELD_MANAGER).force();
        let sent = api.patch(&names::cleanup(&self.job.identity.name), &parameters, &Patch::Apply(job)).await;
        sent.map(|_| tracing::info!(job = %self.job.description.job, "cleanup job started"))
    }
}

fn is_terminating(why: &str) -> bool {
    why.contains("is being terminated")
}

/// A namespace that goes takes no new object: there is nothing to wait for.
fn undone(why: &str) -> Progress {
    match is_terminating(why) {
        true => Progress::GivenUp("the namespace is being deleted".to_owned()),
        false => Progress::Waiting(format!("The cleanup job could not be started: {why}")),
    }
}
