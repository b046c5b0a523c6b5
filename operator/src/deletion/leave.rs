//! The reconcile of a deleted job: cleanup, one step per call, and then the finalizer is removed.

use std::time::Duration;

use crds::{ReplicationJobStatus, status::Stage};
use jiff::Timestamp;

use crate::{
    cadence::{MOVING, RESTING},
    deletion::{Cleanup, Progress, has_reached_nothing, server_time},
    job::{Identity, Job, drop_slot},
    names,
    observe::{Observation, look},
    patch::{publish_deletion, set_finalizer, warn_of_leak},
    problem::{Problem, sentences},
    reconcile::{Operator, Reconcile, ReconcileError, identity, nothing_known},
    status::Facts,
    validate::{last_known, validate},
};

impl Reconcile<'_> {
    /// Takes one step of the deletion.
    pub(crate) async fn leave(&self, deleted_at: Timestamp) -> Result<Duration, ReconcileError> {
        if self.operator.memory.is_forgotten(&identity(&self.resource.metadata).uid) {
            // The watch still shows the released resource; it must not be reported twice.
            return Ok(RESTING);
        }
        let identity = identity(&self.resource.metadata);
        match validate(self.resource).or_else(|problem| self.as_it_ran().ok_or(problem)) {
            Ok(job) => self.clean_up(&job, deleted_at).await,
            // Invalid from the beginning: no object was ever created for it.
            Err(_)
                if self.live.objects.is_empty() && self.pods.is_empty() && self.stored().slot.is_none() =>
            {
                self.operator.release(&identity).await
            }
            Err(problem) => self.operator.give_up(&identity, &problem).await,
        }
    }

    /// The job as last applied, where the resource is invalid now: the slot is at that source.
    fn as_it_ran(&self) -> Option<Job> {
        let metadata = &self.resource.metadata;
        let mut resource = last_known(identity(metadata), self.live)?.resource(metadata, self.stored());
        resource.spec.deletion = self.resource.spec.deletion.clone();
        validate(&resource).ok()
    }

    async fn clean_up(&self, job: &Job, deleted_at: Timestamp) -> Result<Duration, ReconcileError> {
        let (operator, identity) = (self.operator, &job.identity);
        let observation = look(self.pods, self.live, &identity.name);
        let shown = self.stored();
        let mut cleanup = self.cleanup(job, &observation, &shown, deleted_at);
        if cleanup.is_needless().await {
            return operator.release(identity).await;
        }
        let secrets = operator.secrets.resolve(self.resource).await;
        let plan = self.plan(job, secrets.as_ref().ok());
        let facts = Facts { job: Ok(job), plan: plan.as_ref(), ..nothing_known(identity, &observation) };
        if shown.stage != Stage::Deleting {
            if has_reached_nothing(&shown) {
                operator.memory.note_unreached(&identity.uid);
            }
            // Before the first step, because a drain may take long and the status has to show what is happening.
            let deleting = Some("The worker loads what it holds; then slot and publication are dropped.");
            operator.report(identity, &shown, &Facts { deleting, ..facts.clone() }).await?;
        }
        cleanup.plan = plan.as_ref();
        cleanup.reached_nothing = operator.memory.is_unreached(&identity.uid);
        match cleanup.step(operator.server_now(&identity.namespace).await).await {
            Progress::Done => operator.release(identity).await,
            Progress::GivenUp(_) if cleanup.reached_nothing => {
                operator.report_nothing_reached(identity, &job.remedy()).await;
                operator.release(identity).await
            }
            Progress::GivenUp(why) => {
                operator.report_leak(identity, &[&why, &job.remedy()]).await;
                operator.release(identity).await
            }
            Progress::Waiting(message) => {
                operator
                    .report(identity, &self.stored(), &Facts { deleting: Some(&message), ..facts })
                    .await?;
                Ok(MOVING)
            }
        }
    }

    fn cleanup<'a>(
        &'a self,
        job: &'a Job,
        observation: &'a Observation,
        status: &'a ReplicationJobStatus,
        deleted_at: Timestamp,
    ) -> Cleanup<'a> {
        let Operator { client, sent, tokens, turns, .. } = self.operator;
        let created_at = self.resource.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let live = self.live;
        let (plan, reached_nothing) = (None, false);
        Cleanup {
            client,
            sent,
            tokens,
            turns,
            job,
            plan,
            live,
            observation,
            status,
            reached_nothing,
            created_at,
            deleted_at,
        }
    }
}

impl Operator {
    /// Releases a resource that is not a valid job and reports the leak: it cannot be cleaned up, and must not stay.
    pub(crate) async fn give_up(
        &self,
        identity: &Identity,
        problem: &Problem,
    ) -> Result<Duration, ReconcileError> {
        let slot = names::at_the_source(&identity.namespace, &identity.name, &identity.uid);
        let statements = format!("{} DROP PUBLICATION IF EXISTS {slot};", drop_slot(&slot));
        let remedy = format!("in the source's database run: {statements}");
        self.report_leak(identity, &[&problem.message, &remedy]).await;
        self.release(identity).await
    }

    /// Reports a leak in the log, an event and the metrics.
    async fn report_leak(&self, identity: &Identity, phrases: &[&str]) {
        let message = format!("Slot and publication may remain at the source. {}", sentences(phrases));
        tracing::error!(job = %identity.name, namespace = %identity.namespace, message, "slot or publication leaked at the source");
        warn_of_leak(&self.events, identity, &message).await;
        self.metrics.leaked();
    }

    /// Reports that most likely nothing is left at the source, with the statements that make sure of it.
    async fn report_nothing_reached(&self, identity: &Identity, remedy: &str) {
        let what = "no worker of the job was seen to reach the source, so there is most likely nothing to drop there";
        let message = sentences(&[what, "to make sure", remedy]);
        tracing::info!(job = %identity.name, namespace = %identity.namespace, message, "job never reached its source");
        publish_deletion(&self.events, identity, &message).await;
    }

    /// The time of the API server: read every few minutes, advanced by the local clock in between.
    async fn server_now(&self, namespace: &str) -> Timestamp {
        if let Some(now) = self.clock.now() {
            return now;
        }
        let now = server_time(&self.client, namespace).await;
        self.clock.set(now);
        now
    }

    /// Removes the finalizer.
    async fn release(&self, identity: &Identity) -> Result<Duration, ReconcileError> {
        if !set_finalizer(&self.client, identity, false).await? {
            return Ok(MOVING);
        }
        self.forget(&identity.uid);
        Ok(RESTING)
    }
}
