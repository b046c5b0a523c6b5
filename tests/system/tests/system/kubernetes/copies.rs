//! Existing rows are copied in a real cluster: the percentage, the condition, the events, and copies on request.

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use system::{cluster::condition, wait};

use super::fixture::{JOB, Site};

const ROWS: &str = "INSERT INTO orders (id, note) SELECT id, 'existing' FROM generate_series(1, 20000) id";

/// Waits until the resource meets the condition.
async fn until(site: &Site, what: &str, is_met: impl Fn(&Json) -> bool) -> Result<Json> {
    wait::until(what, async || {
        let job = site.namespace()?.get("replicationjob", JOB)?;
        ensure!(is_met(&job), "{:#}", job["status"]);
        Ok(Some(job))
    })
    .await
}

/// Whether there is an event of the resource with this reason.
fn has_event(site: &Site, reason: &str) -> Result<bool> {
    let events = site.namespace()?.kubectl(&["get", "events", "--output=jsonpath={.items[*].reason}"])?;
    Ok(events.split_whitespace().any(|found| found == reason))
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_rows_are_copied_in_sight_and_once_more_on_request() -> Result<()> {
    let site = Site::new("copied").await?;
    let namespace = site.namespace()?;
    site.source().await?.run(ROWS).await?;
    site.sink.inject(&json!({"table": "app.orders", "stage": "commit", "action": "hold", "count": 1}))?;
    namespace.apply(&site.job())?;
    let job = until(&site, "the copy is seen", |job| job["status"]["stage"] == "Snapshotting").await?;
    let (snapshot, seen) = (&job["status"]["snapshot"], condition(&job, "SnapshotComplete"));
    ensure!(snapshot["percent"].as_i64().is_some_and(|now| now < 100), "{snapshot:#}");
    ensure!(seen.is_some_and(|seen| seen["status"] == "False" && seen["reason"] == "Copying"), "{seen:?}");
    site.sink.heal()?;
    let resource = format!("replicationjob/{JOB}");
    namespace.kubectl(&["wait", "--for=condition=SnapshotComplete", "--timeout=120s", &resource])?;
    let job = until(&site, "all is copied", |job| job["status"]["snapshot"]["percent"] == 100).await?;
    let snapshot = &job["status"]["snapshot"];
    ensure!(snapshot["rows"] == 20_000 && snapshot["chunksDone"] == snapshot["chunksTotal"], "{snapshot:#}");
    ensure!(!snapshot["completedAt"].is_null() && !snapshot["startedAt"].is_null(), "{snapshot:#}");
    site.until_equal().await?;

    let before = site.incarnation().await?;
    let request =
        |name: &str, table: &str| json!({"spec": {"snapshot": {"request": name, "requestTables": [table]}}});
    namespace.patch(JOB, &request("again", "public.orders"))?;
    until(&site, "the request is taken up and done", |job| {
        let snapshot = &job["status"]["snapshot"];
        snapshot["request"] == "again" && snapshot["percent"] == 100 && !snapshot["completedAt"].is_null()
    })
    .await?;
    namespace.patch(JOB, &request("wrong", "public.nothing"))?;
    let job = until(&site, "the request is refused", |job| {
        job["status"]["snapshot"]["error"].as_str().is_some_and(|error| error.contains("public.nothing"))
    })
    .await?;
    ensure!(condition(&job, "Ready").is_some_and(|ready| ready["status"] == "True"), "{:#}", job["status"]);
    ensure!(site.incarnation().await? == before, "the worker was restarted");
    for reason in ["Copying", "Copied", "CopyRequested", "CopyPending"] {
        ensure!(has_event(&site, reason)?, "no event {reason}");
    }
    site.until_equal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_only_copies_is_completed_without_a_worker_and_a_slot_and_can_be_deleted() -> Result<()> {
    let site = Site::new("only").await?;
    let namespace = site.namespace()?;
    site.source().await?.run(ROWS).await?;
    let mut manifest = site.job();
    manifest["spec"]["snapshot"] = json!({"mode": "Only"});
    namespace.apply(&manifest)?;
    let job = until(&site, "the job is completed", |job| job["status"]["stage"] == "Completed").await?;
    let ready = condition(&job, "Ready");
    ensure!(
        ready.is_some_and(|ready| ready["status"] == "True" && ready["reason"] == "Completed"),
        "{ready:?}"
    );
    ensure!(job["status"]["snapshot"]["percent"] == 100, "{:#}", job["status"]);
    ensure!(site.slots().await?.is_empty(), "a slot is left");
    wait::until("no worker runs", async || Ok(site.live_pods()?.is_empty().then_some(()))).await?;
    site.until_equal().await?;
    namespace.kubectl(&["delete", "replicationjob", JOB, "--wait=false"])?;
    namespace.until_gone("replicationjob", JOB).await?;
    ensure!(site.publications().await?.is_empty(), "the publication is left");
    Ok(())
}
