//! The operator beside other writers: another version of itself, a person who clears a status, and clients that change
//! its objects.

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use system::{
    cluster::{SYSTEM, condition},
    wait,
};

use super::fixture::{JOB, Site};

const CRD: &str = "replicationjobs.dbmazz.dev";
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

/// The CRD as a later version may have it: one more field with a default, and one more word each for a state and a
/// stage.
fn extend_the_crd(site: &Site) -> Result<()> {
    let state = format!("{SCHEMA}/spec/properties/state/enum/-");
    let stage = format!("{SCHEMA}/status/properties/stage/enum/-");
    let field = format!("{SCHEMA}/spec/properties/sink/properties/starrocks/properties/novelty");
    let patch = json!([
        {"op": "add", "path": state, "value": "Hibernating"},
        {"op": "add", "path": stage, "value": "Hibernating"},
        {"op": "add", "path": field, "value": {"type": "string", "default": "on"}},
    ]);
    site.platform.cluster.kubectl(&["patch", "crd", CRD, "--type=json", "--patch", &patch.to_string()])?;
    Ok(())
}

fn restore_the_crd(site: &Site) -> Result<()> {
    let file = system::cluster::chart().join("files/crd.yaml");
    site.platform.cluster.kubectl(&["replace", "--filename", &file.display().to_string()]).map(drop)
}

fn status_writes(site: &Site) -> Result<usize> {
    let entries = site.platform.cluster.audit()?;
    let ours = entries.iter().filter(|entry| {
        entry.caller().starts_with(&format!("system:serviceaccount:{SYSTEM}:"))
            && entry.is_write()
            && entry.object_ref.namespace == site.name
            && entry.object_ref.resource == "replicationjobs"
    });
    Ok(ours.count())
}

fn patch_status(site: &Site, patch: &Json) -> Result<()> {
    let patch = patch.to_string();
    let arguments =
        ["patch", "replicationjob", JOB, "--subresource=status", "--type=merge", "--patch", &patch];
    site.namespace()?.kubectl(&arguments).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_with_fields_and_words_of_a_later_version_is_read_all_the_same() -> Result<()> {
    let site = Site::alone("later-fields").await?;
    site.ready().await?;
    let before = site.incarnation().await?;
    extend_the_crd(&site)?;
    // The annotation stores the resource with the new default; the status gets a word that this version does not know.
    site.namespace()?.kubectl(&["annotate", "replicationjob", JOB, "touched=yes"])?;
    patch_status(&site, &json!({"status": {"stage": "Hibernating"}}))?;
    wait::until("the stage is one that this version knows", async || {
        let job = site.namespace()?.get("replicationjob", JOB)?;
        Ok((job["status"]["stage"] == "Streaming").then_some(()))
    })
    .await?;
    site.until_ready().await?;
    assert_eq!(site.incarnation().await?, before);
    restore_the_crd(&site)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_cannot_be_read_keeps_its_worker_and_its_deletion_drops_the_slot() -> Result<()> {
    let site = Site::alone("unreadable").await?;
    site.ready().await?;
    let before = site.incarnation().await?;
    extend_the_crd(&site)?;
    site.namespace()?.patch(JOB, &json!({"spec": {"state": "Hibernating"}}))?;
    site.namespace()?.until_condition(JOB, "UpToDate", "False", "BadConfiguration").await?;
    // The worker is still asked for its status, and reports that it replicates.
    site.until_ready().await?;
    assert_eq!(site.incarnation().await?, before);
    // Each change of the resource causes a reconciliation, which must not write the status.
    let writes = status_writes(&site)?;
    for turn in 0..5 {
        site.namespace()?.kubectl(&[
            "annotate",
            "--overwrite",
            "replicationjob",
            JOB,
            &format!("turn={turn}"),
        ])?;
    }
    site.namespace()?.until_condition(JOB, "UpToDate", "False", "BadConfiguration").await?;
    assert!(status_writes(&site)? <= writes + 3, "{} after {writes}", status_writes(&site)?);
    site.namespace()?.kubectl(&["delete", "replicationjob", JOB, "--wait=false"])?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    assert!(site.slots().await?.is_empty() && site.publications().await?.is_empty());
    restore_the_crd(&site)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_was_wiped_is_written_again() -> Result<()> {
    let site = Site::new("wiped").await?;
    site.ready().await?;
    patch_status(&site, &json!({"status": {"conditions": null, "slot": null, "worker": null}}))?;
    site.until_ready().await?;
    wait::until("the rest is there again", async || {
        let job = site.namespace()?.get("replicationjob", JOB)?;
        let status = &job["status"];
        Ok((status["slot"].is_object() && status["worker"].is_object()).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_add_to_an_object_stays_and_what_they_change_is_put_back() -> Result<()> {
    let site = Site::new("touched").await?;
    site.ready().await?;
    let before = site.incarnation().await?;
    let name = format!("dbmazz-{JOB}");
    let namespace = site.namespace()?;
    namespace.kubectl(&["label", "deployment", &name, "team=payments"])?;
    let selector = json!({"spec": {"selector": {"tier": "gold"}}}).to_string();
    namespace.kubectl(&["patch", "service", &name, "--type=merge", "--patch", &selector])?;
    wait::until("the service selects the worker again", async || {
        let service = site.namespace()?.get("service", &name)?;
        Ok(service["spec"]["selector"]["tier"].is_null().then_some(()))
    })
    .await?;
    let deployment = namespace.get("deployment", &name)?;
    assert_eq!(deployment["metadata"]["labels"]["team"], "payments");
    let job = namespace.get("replicationjob", JOB)?;
    let up_to_date = condition(&job, "UpToDate").context("UpToDate")?;
    assert_eq!(up_to_date["status"], "True", "{up_to_date}");
    assert_eq!(site.incarnation().await?, before);
    Ok(())
}
