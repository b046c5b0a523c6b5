//! A job from `kubectl apply` on: rows arrive, its state changes, its worker is killed.

use anyhow::{Context, Result};
use serde_json::json;
use system::{cluster::condition, wait, workload::Workload};

use super::fixture::{JOB, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_applied_and_the_tables_become_equal() -> Result<()> {
    let site = Site::new("applied").await?;
    site.ready().await?;
    site.write(&mut Workload::new(31, 200), 150).await?;
    assert!(site.until_equal().await? > 50);
    let job = site.namespace()?.get("replicationjob", JOB)?;
    let generation = &job["metadata"]["generation"];
    assert_eq!(&job["status"]["observedGeneration"], generation);
    for kind in ["Ready", "WorkerAvailable", "SourceHealthy", "SinkHealthy", "UpToDate"] {
        let condition = condition(&job, kind).with_context(|| format!("no condition {kind}"))?;
        assert_eq!(condition["status"], "True", "{condition}");
        assert_eq!(&condition["observedGeneration"], generation);
    }
    assert_eq!(condition(&job, "Stalled").context("Stalled")?["status"], "False");
    let printed = site.namespace()?.kubectl(&["get", "replicationjobs"])?;
    let header: Vec<_> = printed.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(header, ["NAME", "STATE", "READY", "LAG", "SNAPSHOT", "TABLES", "AGE"]);
    let row: Vec<_> = printed.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!((row[0], row[1], row[2], row[4], row[5]), (JOB, "Streaming", "True", "100", "2"), "{printed}");
    assert_eq!(
        site.namespace()?.kubectl(&["get", "rjob", "--output=name"])?.trim(),
        format!("replicationjob.dbmazz.dev/{JOB}")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_comes_back_and_ready_is_never_stale() -> Result<()> {
    let site = Site::new("killed").await?;
    site.ready().await?;
    let mut workload = Workload::new(32, 200);
    for _ in 0..3 {
        let before = site.incarnation().await?;
        site.write(&mut workload, 20).await?;
        site.kill_worker().await?;
        wait::until("another worker runs", async || Ok((site.incarnation().await? != before).then_some(())))
            .await?;
    }
    site.write(&mut workload, 20).await?;
    site.until_equal().await?;
    site.until_ready().await?;
    let restarts = wait::until("the restarts are counted", async || {
        let job = site.namespace()?.get("replicationjob", JOB)?;
        Ok(job["status"]["worker"]["restarts"].as_u64().filter(|restarts| *restarts >= 3))
    });
    restarts.await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_stop_and_run_lose_nothing_and_a_pause_restarts_nothing() -> Result<()> {
    let site = Site::new("states").await?;
    site.ready().await?;
    let mut workload = Workload::new(33, 200);
    let namespace = site.namespace()?;
    let running = site.incarnation().await?;
    namespace.patch(JOB, &json!({"spec": {"state": "Paused"}}))?;
    until_stage(&site, "Paused").await?;
    site.write(&mut workload, 20).await?;
    namespace.patch(JOB, &json!({"spec": {"state": "Running"}}))?;
    until_stage(&site, "Streaming").await?;
    site.until_equal().await?;
    assert_eq!(site.incarnation().await?, running, "the pod was left alone");

    let slots = site.slots().await?;
    namespace.patch(JOB, &json!({"spec": {"state": "Stopped"}}))?;
    until_stage(&site, "Stopped").await?;
    wait::until("no worker is left", async || Ok(site.live_pods()?.is_empty().then_some(()))).await?;
    assert_eq!(site.slots().await?, slots, "rule 1: the slot stays");
    site.write(&mut workload, 20).await?;
    namespace.patch(JOB, &json!({"spec": {"state": "Running"}}))?;
    site.until_equal().await?;
    site.until_ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_spec_drains_and_starts_anew() -> Result<()> {
    let site = Site::new("changed").await?;
    site.ready().await?;
    let before = site.incarnation().await?;
    site.write(&mut Workload::new(34, 100), 20).await?;
    site.namespace()?.patch(JOB, &json!({"spec": {"worker": {"logLevel": "Debug"}}}))?;
    wait::until("a new pod runs", async || Ok((site.incarnation().await? != before).then_some(()))).await?;
    site.until_equal().await?;
    site.until_ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_sizes_of_loads_change_and_the_pod_is_left_alone() -> Result<()> {
    let site = Site::new("grown").await?;
    site.ready().await?;
    let before = site.incarnation().await?;
    let source = site.source().await?;
    source.run("CREATE TABLE items (id int PRIMARY KEY)").await?;
    let (tables, batch) = (["public.orders", "public.customers", "public.items"], json!({"maxRows": 7}));
    let spec = json!({"source": {"postgres": {"tables": tables}}, "sink": {"starrocks": {"batch": batch}}});
    site.namespace()?.patch(JOB, &json!({"spec": spec}))?;
    let published = "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'items'";
    wait::until("the new table is published", async || {
        Ok((source.value(published).await?.as_deref() == Some("1")).then_some(()))
    })
    .await?;
    source.run("INSERT INTO items SELECT generate_series(1, 20)").await?;
    site.write(&mut Workload::new(35, 100), 20).await?;
    wait::until("the rows of the new table are there", async || {
        let rows = site.sink.value("SELECT COUNT(*) FROM app.items").await?;
        Ok((rows.as_deref() == Some("20")).then_some(()))
    })
    .await?;
    site.until_equal().await?;
    site.until_ready().await?;
    assert_eq!(site.incarnation().await?, before, "the pod was left alone");
    Ok(())
}

async fn until_stage(site: &Site, stage: &str) -> Result<()> {
    wait::until(&format!("the job is {stage}"), async || {
        let job = site.namespace()?.get("replicationjob", JOB)?;
        anyhow::ensure!(job["status"]["stage"] == stage, "{}", job["status"]);
        Ok(Some(()))
    })
    .await
}
