//! `kubectl delete` drops what the job created at the source, and never waits for ever.

use anyhow::Result;
use serde_json::json;
use system::wait;

use super::fixture::{JOB, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_job_leaves_neither_slot_nor_publication_nor_pod() -> Result<()> {
    let site = Site::new("deleted").await?;
    site.ready().await?;
    assert_eq!((site.slots().await?.len(), site.publications().await?.len()), (1, 1));
    delete(&site)?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    assert!(site.slots().await?.is_empty() && site.publications().await?.is_empty());
    wait::until("nothing of the job is left", async || {
        let left = site.namespace()?.kubectl(&[
            "get",
            "all,configmaps,serviceaccounts",
            "--selector",
            &format!("dbmazz.dev/job={JOB}"),
            "--output=name",
        ])?;
        Ok(left.is_empty().then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_retain_keeps_both() -> Result<()> {
    let site = Site::new("retained").await?;
    let mut job = site.job();
    job["spec"]["deletion"] = json!({"slot": "Retain", "publication": "Retain"});
    site.namespace()?.apply(&job)?;
    site.until_ready().await?;
    delete(&site)?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    assert_eq!((site.slots().await?.len(), site.publications().await?.len()), (1, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_cannot_start_is_cleaned_up_all_the_same() -> Result<()> {
    let site = Site::new("crashing").await?;
    site.ready().await?;
    // The worker halts, because one of its tables is dropped at the source.
    site.source().await?.run("DROP TABLE customers").await?;
    site.namespace()?.patch(JOB, &json!({"spec": {"worker": {"logLevel": "Debug"}}}))?;
    site.namespace()?.until_condition(JOB, "Ready", "False", "SourceTableMissing").await?;
    delete(&site)?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    assert!(site.slots().await?.is_empty() && site.publications().await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_job_is_cleaned_up_by_a_short_job_of_its_own() -> Result<()> {
    let site = Site::new("stopped").await?;
    site.ready().await?;
    site.namespace()?.patch(JOB, &json!({"spec": {"state": "Stopped"}}))?;
    wait::until("no worker is left", async || Ok(site.live_pods()?.is_empty().then_some(()))).await?;
    assert_eq!(site.slots().await?.len(), 1);
    delete(&site)?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    assert!(site.slots().await?.is_empty() && site.publications().await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_cannot_reach_the_source_ends_and_reports_what_is_left() -> Result<()> {
    let mut site = Site::new("unreachable").await?;
    let mut job = site.job();
    job["spec"]["deletion"] = json!({"timeout": "10s"});
    site.namespace()?.apply(&job)?;
    site.until_ready().await?;
    site.postgres.stop_immediate()?;
    delete(&site)?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    wait::until("the leak is reported", async || {
        let events = site.events()?;
        let reported = events
            .iter()
            .any(|event| event.starts_with("Warning") && event.contains("pg_drop_replication_slot"));
        anyhow::ensure!(reported, "{events:#?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_somebody_else_with_the_name_of_the_cleanup_is_not_taken_for_it() -> Result<()> {
    let site = Site::new("foreign-cleanup").await?;
    site.ready().await?;
    let namespace = site.namespace()?;
    namespace.patch(JOB, &json!({"spec": {"state": "Stopped"}}))?;
    wait::until("no worker is left", async || Ok(site.live_pods()?.is_empty().then_some(()))).await?;
    let name = format!("dbmazz-{JOB}-cleanup");
    namespace.apply(&finished(&site, &name))?;
    wait::until("the foreign job has succeeded", async || {
        Ok((namespace.get("job", &name)?["status"]["succeeded"] == 1).then_some(()))
    })
    .await?;
    delete(&site)?;
    namespace.until_gone("replicationjob", JOB).await?;
    assert!(site.slots().await?.is_empty() && site.publications().await?.is_empty());
    namespace.get("job", &name).map(drop)
}

/// A Job that succeeds and drops nothing.
fn finished(site: &Site, name: &str) -> serde_json::Value {
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}});
    let container = json!({"name": "dbmazz", "image": site.platform.worker_image, "args": ["--version"],
        "imagePullPolicy": "IfNotPresent", "securityContext": security});
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": site.name},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_a_host_that_does_not_exist_goes_without_a_false_alarm() -> Result<()> {
    let site = Site::new("typo").await?;
    let mut job = site.job();
    job["spec"]["source"]["postgres"]["host"] = json!("nowhere.invalid");
    site.namespace()?.apply(&job)?;
    site.namespace()?.until_condition(JOB, "Ready", "False", "SourceUnreachable").await?;
    delete(&site)?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    wait::until("it is said where to look", async || {
        let events = site.events()?;
        assert!(!events.iter().any(|event| event.contains("CleanupFailed")), "{events:#?}");
        Ok(events.iter().any(|event| event.contains("most likely nothing to drop")).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_the_schema_takes_and_nobody_can_run_stop_nothing_and_leak_nothing() -> Result<()> {
    let site = Site::new("bad-tables").await?;
    site.ready().await?;
    let before = site.incarnation().await?;
    let namespace = site.namespace()?;
    let given = namespace.get("configmap", &format!("dbmazz-{JOB}"))?["data"].clone();
    let tables = json!(["public.orders", "public.a__b", "a.b"]);
    namespace.patch(JOB, &json!({"spec": {"source": {"postgres": {"tables": tables}}}}))?;
    let message = namespace.until_condition(JOB, "Ready", "False", "BadConfiguration").await?;
    assert!(message.contains("spec.source.postgres.tables") && message.contains("a__b"), "{message}");
    assert_eq!(namespace.get("configmap", &format!("dbmazz-{JOB}"))?["data"], given);
    assert_eq!(site.incarnation().await?, before, "the worker goes on with what it had");
    delete(&site)?;
    namespace.until_gone("replicationjob", JOB).await?;
    assert!(site.slots().await?.is_empty() && site.publications().await?.is_empty());
    Ok(())
}

fn delete(site: &Site) -> Result<()> {
    site.namespace()?.kubectl(&["delete", "replicationjob", JOB, "--wait=false"]).map(drop)
}
