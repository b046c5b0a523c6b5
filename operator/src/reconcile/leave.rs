//! The way out of a deleted job: cleanup, one step at a time, and then the finalizer goes.

use std::time::Duration;

use crds::status::Stage;
use jiff::Timestamp;

use super::{Line, MOVING, Operator, RESTING, ReconcileError, identity, nothing_known};
use crate::{
    cleanup::{Cleanup, Progress},
    job::{Identity, Job},
    names,
    observe::look,
    patch::{hold, warn_of_leak},
    problem::{Problem, sentences},
    status::Facts,
    validate::validate,
};

impl Line<'_> {
    /// Takes one step on the way out.
    pub(super) async fn leave(&self, deleted_at: Timestamp) -> Result<Duration, ReconcileError> {
        if self.operator.memory.is_forgotten(&identity(&self.resource.metadata).uid) {
            // The watch still shows it, and it must not be reported twice.
            return Ok(RESTING);
        }
        match validate(self.resource) {
            Ok(job) => self.clean_up(&job, deleted_at).await,
            Err(problem) => self.operator.give_up(&identity(&self.resource.metadata), &problem).await,
        }
    }

    async fn clean_up(&self, job: &Job, deleted_at: Timestamp) -> Result<Duration, ReconcileError> {
        let (operator, identity) = (self.operator, &job.identity);
        let secrets = operator.secrets.resolve(self.resource).await;
        let plan = self.plan(job, secrets.as_ref().ok());
        let observation = look(self.pods, self.live, &identity.name);
        let shown = operator.memory.written(&identity.uid).unwrap_or_else(|| self.shown());
        let facts = Facts { job: Ok(job), plan: plan.as_ref(), ..nothing_known(identity, &observation) };
        if shown.stage != Stage::Deleting {
            // Before the first step: a worker may take its time to drain, and people see what is going on.
            let deleting = Some("The worker loads what it holds; then slot and publication are dropped.");
            operator.report(identity, &shown, &Facts { deleting, ..facts.clone() }).await?;
        }
        let cleanup = Cleanup {
            client: &operator.client,
            job,
            plan: plan.as_ref(),
            live: self.live,
            observation: &observation,
            ever_ran: shown.slot.is_some() || shown.worker.is_some(),
            // An operator that was away has all the time that is allowed, once it is back.
            since: deleted_at.max(operator.started_at),
        };
        match cleanup.step(Timestamp::now()).await {
            Progress::Done => operator.release(identity).await,
            Progress::GivenUp(why) => {
                operator.report_leak(identity, &[&why, &job.remedy()]).await;
                operator.release(identity).await
            }
            Progress::Waiting(message) => {
                operator.report(identity, &shown, &Facts { deleting: Some(&message), ..facts }).await?;
                Ok(MOVING)
            }
        }
    }
}

impl Operator {
    /// A resource that is no job cannot be cleaned up after, and must not stay for ever either.
    pub(super) async fn give_up(
        &self,
        identity: &Identity,
        problem: &Problem,
    ) -> Result<Duration, ReconcileError> {
        let slot = names::at_the_source(&identity.namespace, &identity.name, &identity.uid);
        let remedy =
            format!("at the source, drop the replication slot and the publication {slot}, if they exist");
        self.report_leak(identity, &[&problem.message, &remedy]).await;
        self.release(identity).await
    }

    /// Tells everybody who may care: the log, the events, the metrics.
    async fn report_leak(&self, identity: &Identity, phrases: &[&str]) {
        let message = format!("Slot and publication may remain at the source. {}", sentences(phrases));
        tracing::error!(job = %identity.name, namespace = %identity.namespace, message, "job left something at the source");
        warn_of_leak(&self.recorder, identity, &message).await;
        self.metrics.leaked();
    }

    /// Lets the resource go.
    async fn release(&self, identity: &Identity) -> Result<Duration, ReconcileError> {
        if !hold(&self.client, identity, false).await? {
            return Ok(MOVING);
        }
        self.forget(&identity.uid);
        Ok(RESTING)
    }
}
