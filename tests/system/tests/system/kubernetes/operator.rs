//! The operator itself: it writes nothing without cause, and its restarts and upgrades do not affect workers.

use anyhow::{Context, Result};
use serde_json::json;
use system::{
    cluster::{RELEASE, SYSTEM},
    wait,
    workload::Workload,
};

use super::fixture::{JOB, Site, platform};

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_job_causes_no_api_write() -> Result<()> {
    let site = Site::new("quiet").await?;
    site.ready().await?;
    site.until_equal().await?;
    // The job is reconciled several times; the reads in the audit log prove it.
    let written = |writes: bool| -> Result<usize> {
        let entries = site.platform.cluster.audit()?;
        let ours = entries.iter().filter(|entry| {
            entry.caller().starts_with(&format!("system:serviceaccount:{SYSTEM}:"))
                && entry.is_write() == writes
                && entry.object_ref.namespace == "quiet"
        });
        Ok(ours.count())
    };
    // A changing lag may cause one more write, so wait until two counts in a row are equal.
    let mut last = usize::MAX;
    wait::until("the job has settled", async || {
        let (writes, reads) = (written(true)?, written(false)?);
        let settled = writes == last;
        last = writes;
        wait::until("a few more reads", async || Ok((written(false)? >= reads + 2).then_some(()))).await?;
        Ok(settled.then_some(()))
    })
    .await?;
    let (writes, reads) = (written(true)?, written(false)?);
    wait::until(
        "it was looked at again and again",
        async || Ok((written(false)? >= reads + 4).then_some(())),
    )
    .await?;
    assert_eq!(written(true)?, writes);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_restarts_no_worker() -> Result<()> {
    let site = Site::alone("operator-killed").await?;
    site.ready().await?;
    let before = site.incarnation().await?;
    let platform = platform()?;
    let pod = operator_pod(&platform)?;
    platform.cluster.kubectl(&[
        "--namespace",
        SYSTEM,
        "delete",
        "pod",
        &pod,
        "--grace-period=0",
        "--force",
    ])?;
    wait::until("another operator is ready", async || {
        let ready = platform.cluster.kubectl(&[
            "--namespace",
            SYSTEM,
            "rollout",
            "status",
            "deployment",
            "--timeout=60s",
        ]);
        Ok((ready.is_ok() && operator_pod(&platform)? != pod).then_some(()))
    })
    .await?;
    // The new operator works: it carries out a change of the job.
    site.namespace()?.patch(JOB, &json!({"spec": {"state": "Paused"}}))?;
    wait::until("the job is paused", async || {
        Ok((site.namespace()?.get("replicationjob", JOB)?["status"]["stage"] == "Paused").then_some(()))
    })
    .await?;
    assert_eq!(site.incarnation().await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jobs_in_two_namespaces_do_not_disturb_each_other() -> Result<()> {
    let (one, other) = (Site::new("side-one").await?, Site::new("side-two").await?);
    one.ready().await?;
    other.ready().await?;
    let before = one.incarnation().await?;
    let (mut first, mut second) = (Workload::new(41, 100), Workload::new(42, 100));
    one.write(&mut first, 20).await?;
    other.write(&mut second, 20).await?;
    other.kill_worker().await?;
    one.write(&mut first, 20).await?;
    one.until_equal().await?;
    other.until_equal().await?;
    assert_eq!(one.incarnation().await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_upgrade_and_uninstall_leave_running_jobs_alone() -> Result<()> {
    let site = Site::alone("helm").await?;
    site.ready().await?;
    let before = site.incarnation().await?;
    // Another default image in the operator must not restart running workers.
    site.platform.install(&["--set", "worker.image=dbmazz.dev/dbmazz:of-another-release"])?;
    site.write(&mut Workload::new(43, 100), 10).await?;
    site.until_equal().await?;
    let message =
        site.namespace()?.until_condition(JOB, "UpToDate", "False", "NewWorkerImageAvailable").await?;
    assert!(!message.is_empty());
    assert_eq!(site.incarnation().await?, before);
    site.platform.install(&[])?;
    site.namespace()?.until_condition(JOB, "UpToDate", "True", "").await?;
    site.platform.cluster.helm(&["uninstall", RELEASE, "--namespace", SYSTEM, "--wait"])?;
    site.namespace()?.get("replicationjob", JOB)?;
    site.platform.install(&[])?;
    site.until_ready().await?;
    assert_eq!(site.incarnation().await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_runs_restricted_and_reports_itself() -> Result<()> {
    let platform = platform()?;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    platform.cluster.kubectl(&["label", "namespace", SYSTEM, label, "--overwrite"])?;
    let pod = operator_pod(&platform)?;
    let dry = platform.cluster.kubectl(&["--namespace", SYSTEM, "get", "pod", &pod, "--output=json"])?;
    let mut copy: serde_json::Value = serde_json::from_str(&dry)?;
    copy["metadata"] = json!({"name": "restricted-copy", "namespace": SYSTEM});
    copy["status"] = json!(null);
    let text = copy.to_string();
    let mut command = platform.cluster.kubectl_command();
    command.args(["create", "--dry-run=server", "--filename=-"]);
    testbed::run::output_with_input(&mut command, &text).context("the operator's pod is not restricted")?;
    let metrics = platform.cluster.kubectl(&[
        "get",
        "--raw",
        &format!("/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy/metrics"),
    ])?;
    assert!(metrics.contains("dbmazz_operator_"), "{metrics}");
    Ok(())
}

fn operator_pod(platform: &system::cluster::Platform) -> Result<String> {
    let names = platform.cluster.kubectl(&[
        "--namespace",
        SYSTEM,
        "get",
        "pods",
        "--selector",
        "app.kubernetes.io/name=dbmazz-operator",
        "--field-selector=status.phase=Running",
        "--output=jsonpath={.items[0].metadata.name}",
    ])?;
    Ok(names)
}
