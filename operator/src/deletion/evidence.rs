//! Whether a deleted job can have left anything at the source, judged from what the cluster still shows. Pure.
//!
//! A slot that stays fills the source's disk, so only proof counts. A status alone proves little, because it may have
//! been wiped.

use crds::{Reason, ReplicationJobStatus, spec::DesiredState};
use jiff::Timestamp;

use crate::{
    cadence::EVIDENCE_WINDOW, job::Job, live::LiveObject, plan::stopped_until,
    status::verdict::SOURCE_HEALTHY,
};

/// What the cluster still shows of a deleted job. None of its pods is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) job: &'a Job,
    pub(super) status: &'a ReplicationJobStatus,
    pub(super) deployment: Option<&'a LiveObject>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) deleted_at: Timestamp,
}

impl Evidence<'_> {
    /// No worker ever ran, so there is neither slot nor publication.
    pub(super) fn has_made_nothing(&self) -> bool {
        match self.deployment {
            Some(deployment) => self.was_always_stopped(deployment),
            None => self.was_never_planned(),
        }
    }

    /// The deletion increments the generation.
    fn was_always_stopped(&self, deployment: &LiveObject) -> bool {
        let is_now = self.job.state() == DesiredState::Stopped && deployment.body["spec"]["replicas"] == 0;
        is_now && stopped_until(deployment).is_some_and(|seen| self.job.identity.generation - seen <= 1)
    }

    /// The status names the worker's image from the first plan on.
    fn was_never_planned(&self) -> bool {
        let ReplicationJobStatus { slot, worker, conditions, .. } = self.status;
        let lived = self.created_at.map(|created_at| self.deleted_at.duration_since(created_at));
        // An empty status was wiped, or was not written yet.
        let is_known = !conditions.is_empty() || lived.is_some_and(|lived| lived < EVIDENCE_WINDOW);
        slot.is_none() && worker.is_none() && is_known
    }
}

/// Whether a worker ran, was never seen to reach the source, and last reported that it cannot.
pub fn has_reached_nothing(status: &ReplicationJobStatus) -> bool {
    let source = status.conditions.iter().find(|condition| condition.type_ == SOURCE_HEALTHY);
    let reason =
        source.filter(|source| source.status == "False").and_then(|source| source.reason.parse().ok());
    status.slot.is_none() && reason.is_some_and(is_unreachable)
}

fn is_unreachable(reason: Reason) -> bool {
    use Reason::{SourceAuthenticationFailed, SourceDatabaseMissing, SourceTlsFailed, SourceUnreachable};
    matches!(reason, SourceUnreachable | SourceAuthenticationFailed | SourceTlsFailed | SourceDatabaseMissing)
}

#[cfg(test)]
mod tests {
    use crds::status::{Slot, WorkerStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use serde_json::json;

    use super::*;
    use crate::{
        live::Kind,
        plan::STOPPED_SO_FAR,
        validate::{tests::resource, validate},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn written() -> ReplicationJobStatus {
        let condition = Condition {
            type_: "Ready".into(),
            status: "False".into(),
            reason: "Stopped".into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(at(0)),
        };
        ReplicationJobStatus { conditions: vec![condition], ..ReplicationJobStatus::default() }
    }

    fn deployment(replicas: i32, stopped_so_far: &str) -> LiveObject {
        let annotations = json!({ STOPPED_SO_FAR: stopped_so_far });
        let body = json!({ "metadata": { "annotations": annotations }, "spec": { "replicas": replicas } });
        LiveObject { kind: Kind::Deployment, body }
    }

    fn made_nothing(
        state: &str,
        status: &ReplicationJobStatus,
        deployment: Option<&LiveObject>,
        lived: i64,
    ) -> bool {
        let mut resource = resource();
        resource.metadata.generation = Some(3);
        resource.spec.state = serde_json::from_value(json!(state)).unwrap();
        let job = validate(&resource).unwrap();
        let evidence =
            Evidence { job: &job, status, deployment, created_at: Some(at(0)), deleted_at: at(lived) };
        evidence.has_made_nothing()
    }

    #[test]
    fn a_job_that_was_never_anything_but_stopped_has_made_nothing() {
        let planned = ReplicationJobStatus { worker: Some(WorkerStatus::default()), ..written() };
        assert!(made_nothing("Stopped", &planned, Some(&deployment(0, "2")), 9_999));
        for (state, deployment) in [
            ("Running", deployment(0, "2")),
            ("Stopped", deployment(1, "2")),
            ("Stopped", deployment(0, "1")),
            ("Stopped", deployment(0, "")),
        ] {
            assert!(!made_nothing(state, &planned, Some(&deployment), 9_999), "{state} {deployment:?}");
        }
    }

    #[test]
    fn a_status_that_says_nothing_is_believed_only_where_nobody_can_have_wiped_it() {
        let wiped = ReplicationJobStatus::default();
        assert!(made_nothing("Running", &written(), None, 9_999), "its Secret was never there");
        assert!(made_nothing("Running", &wiped, None, 2), "deleted before its first status");
        assert!(!made_nothing("Running", &wiped, None, 9_999));
        let worker = ReplicationJobStatus { worker: Some(WorkerStatus::default()), ..written() };
        let seen = Slot { name: "s".into(), wal_status: String::new(), safe_wal_bytes: None };
        let slot = ReplicationJobStatus { slot: Some(seen), ..written() };
        assert!(!made_nothing("Running", &worker, None, 2) && !made_nothing("Running", &slot, None, 2));
    }

    #[test]
    fn only_a_worker_that_said_so_has_reached_nothing() {
        let said = |status: &str, reason: &str| {
            let mut written = written();
            written.conditions[0].type_ = SOURCE_HEALTHY.into();
            written.conditions[0].status = status.into();
            written.conditions[0].reason = reason.into();
            written
        };
        assert!(has_reached_nothing(&said("False", "SourceUnreachable")));
        for other in
            [said("Unknown", "NotObserved"), said("False", "SlotLost"), said("True", "Healthy"), written()]
        {
            assert!(!has_reached_nothing(&other), "{other:?}");
        }
        let seen = Slot { name: "s".into(), wal_status: String::new(), safe_wal_bytes: None };
        let reached = ReplicationJobStatus { slot: Some(seen), ..said("False", "SourceUnreachable") };
        assert!(!has_reached_nothing(&reached));
    }
}
