//! Runs the cleanup Job: created, watched until it succeeds, and created again when it failed or is outdated.

use k8s_openapi::api::batch::v1::Job as BatchJob;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::Value;

use super::{Cleanup, Progress, cleanup_job::cleanup_job, server_time::probe};
use crate::{apply, live::Kind, names, plan::PLAN, problem::why};

impl Cleanup<'_> {
    /// Never uses a foreign Job of the same name; then ours gets the other name.
    pub(super) async fn run_the_job(&self) -> Progress {
        let api = Api::<BatchJob>::namespaced(self.client.clone(), &self.job.identity.namespace);
        let identity = &self.job.identity;
        let names = [names::cleanup(&identity.name), names::cleanup_otherwise(&identity.uid)];
        for name in &names {
            match api.get_opt(name).await {
                Ok(Some(found)) if !self.is_ours(&found) => {}
                Ok(Some(found)) => return self.judge(&api, &found).await,
                Ok(None) => return self.start_the_job(&api, name).await,
                Err(error) => {
                    return Progress::Waiting(format!("The cleanup Job cannot be read: {}.", why(&error)));
                }
            }
        }
        let [one, other] = names;
        Progress::Waiting(format!(
            "Jobs that this job does not own are named {one} and {other}. Remove one of them."
        ))
    }

    fn is_ours(&self, found: &BatchJob) -> bool {
        found.owner_references().iter().any(|owner| owner.uid == self.job.identity.uid)
    }

    /// Judges the cleanup Job; one that failed, or that was created from an earlier state of the job, is replaced.
    async fn judge(&self, api: &Api<BatchJob>, found: &BatchJob) -> Progress {
        let status = found.status.as_ref();
        if status.is_some_and(|status| status.succeeded > Some(0)) {
            return Progress::Done;
        }
        let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let has_failed = conditions.into_iter().any(|c| c.type_ == "Failed" && c.status == "True");
        if has_failed || self.is_outdated(found) {
            return self.start_anew(api, &found.name_any()).await;
        }
        Progress::Waiting("The cleanup Job is dropping slot and publication.".to_owned())
    }

    fn is_outdated(&self, found: &BatchJob) -> bool {
        let Some(plan) = self.plan else { return false };
        let planned = cleanup_job(self.job, plan, &found.name_any());
        found.annotations().get(PLAN).map(String::as_str) != planned["metadata"]["annotations"][PLAN].as_str()
    }

    async fn start_anew(&self, api: &Api<BatchJob>, name: &str) -> Progress {
        match api.delete(name, &DeleteParams::background()).await {
            Ok(_) => Progress::Waiting(
                "The cleanup Job failed, or the job has changed: it is created again.".to_owned(),
            ),
            Err(error) => undone(&why(&error)),
        }
    }

    async fn start_the_job(&self, api: &Api<BatchJob>, name: &str) -> Progress {
        let Some(plan) = self.plan else { return self.without_credentials().await };
        let applier = apply::Applier { client: self.client, sent: self.sent };
        for (kind, planned) in plan.objects.in_order() {
            if matches!(kind, Kind::ConfigMap | Kind::ServiceAccount)
                && let Err(problem) = apply::apply_one(applier, self.job, kind, planned, self.live).await
            {
                return undone(&problem.message);
            }
        }
        match self.send(api, name, &cleanup_job(self.job, plan, name)).await {
            Ok(()) => Progress::Waiting("The cleanup Job is starting.".to_owned()),
            Err(error) => undone(&why(&error)),
        }
    }

    /// In a namespace that is being deleted the credentials do not come back.
    async fn without_credentials(&self) -> Progress {
        match probe(self.client, &self.job.identity.namespace).await {
            Err(error) if is_terminating(&why(&error)) => undone(&why(&error)),
            _ => Progress::Waiting(
                "The credentials are missing, so nothing can be dropped at the source.".to_owned(),
            ),
        }
    }

    async fn send(&self, api: &Api<BatchJob>, name: &str, job: &Value) -> Result<(), kube::Error> {
        let parameters = PatchParams::apply(names::FIELD_MANAGER).force();
        let sent = api.patch(name, &parameters, &Patch::Apply(job)).await;
        sent.map(|_| tracing::info!(job = %self.job.description.job, "cleanup Job started"))
    }
}

fn is_terminating(why: &str) -> bool {
    why.contains("is being terminated")
}

/// A namespace that is being deleted accepts no new object, so there is nothing to wait for.
fn undone(why: &str) -> Progress {
    match is_terminating(why) {
        true => Progress::GivenUp("the namespace is being deleted".to_owned()),
        false => Progress::Waiting(format!("The cleanup Job could not be started: {why}")),
    }
}
