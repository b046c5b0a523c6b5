//! Very many jobs at once: jobs that created nothing at the source are deleted quickly, and the operator stays within
//! its memory limit.

use anyhow::Result;
use serde_json::json;
use system::{cluster::SYSTEM, wait};

use super::fixture::Site;

/// Five hundred were measured too, but creating them takes minutes.
const JOBS: usize = 120;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_never_ran_are_gone_without_a_pod_or_a_warning() -> Result<()> {
    let site = Site::alone("never-ran").await?;
    let operator = incarnation(&site)?;
    site.namespace()?.apply(&json!({"apiVersion": "v1", "kind": "List", "items": jobs(&site)}))?;
    let namespace = site.namespace()?;
    let count = |stage: &str| -> Result<usize> {
        let stages = "--output=jsonpath={.items[*].status.stage}";
        let listed = namespace.kubectl(&["get", "replicationjobs", stages])?;
        Ok(listed.split_whitespace().filter(|found| stage.is_empty() || *found == stage).count())
    };
    wait::until("all are stopped", async || Ok((count("Stopped")? == JOBS).then_some(()))).await?;
    // One request deletes all of them at the same moment.
    let all = "/apis/dbmazz.dev/v1alpha1/namespaces/never-ran/replicationjobs";
    namespace.kubectl(&["delete", "--raw", all])?;
    wait::until("none is left", async || {
        Ok(site.namespace()?.kubectl(&["get", "replicationjobs", "--output=name"])?.is_empty().then_some(()))
    })
    .await?;
    let entries = site.platform.cluster.audit()?;
    let of_ours = entries.iter().filter(|entry| entry.object_ref.namespace == "never-ran");
    let of_jobs = of_ours.filter(|entry| entry.object_ref.resource == "jobs").count();
    assert_eq!(of_jobs, 0, "no cleanup was needed");
    let warnings = namespace.kubectl(&["get", "events", "--field-selector=type=Warning", "--output=name"])?;
    assert_eq!(warnings, "");
    assert_eq!(incarnation(&site)?, operator, "the limit of its memory was enough for it");
    Ok(())
}

/// Jobs in state Stopped from the beginning. Their source does not exist, so the operator must not try to contact it.
fn jobs(site: &Site) -> Vec<serde_json::Value> {
    let job = |number| {
        let mut job = site.job();
        job["metadata"]["name"] = json!(format!("idle-{number}"));
        job["spec"]["state"] = json!("Stopped");
        job["spec"]["source"]["postgres"]["host"] = json!("nowhere.invalid");
        job
    };
    (0..JOBS).map(job).collect()
}

/// The operator's pod and the number of its container's restarts.
fn incarnation(site: &Site) -> Result<String> {
    let restarts = "--output=jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount} {end}";
    site.platform.cluster.kubectl(&["--namespace", SYSTEM, "get", "pods", restarts])
}
