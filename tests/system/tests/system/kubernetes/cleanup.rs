//! The cleanup Job and its obstacles: a source that is down, an operator that ends, a node that has died.

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use system::{cluster::SYSTEM, wait};

use super::fixture::{JOB, Site};

/// A job in state Stopped, deleted while its source is down, whose cleanup has failed at least once.
async fn failing(name: &str, timeout: &str) -> Result<Site> {
    let mut site = Site::alone(name).await?;
    let mut job = site.job();
    job["spec"]["deletion"] = json!({ "timeout": timeout });
    site.namespace()?.apply(&job)?;
    site.until_ready().await?;
    site.namespace()?.patch(JOB, &json!({"spec": {"state": "Stopped"}}))?;
    wait::until("no worker is left", async || Ok(site.live_pods()?.is_empty().then_some(()))).await?;
    site.postgres.stop_immediate()?;
    site.namespace()?.kubectl(&["delete", "replicationjob", JOB, "--wait=false"])?;
    wait::until("the cleanup has failed once", async || Ok((attempts(&site)? > 0).then_some(()))).await?;
    Ok(site)
}

/// The failed attempts of the cleanup: restarted containers, and pods that ended with an error.
fn attempts(site: &Site) -> Result<u64> {
    let pods = site.namespace()?.list("pods", "app.kubernetes.io/name=dbmazz-cleanup")?;
    let failed = |pod: &Json| {
        let container = &pod["status"]["containerStatuses"][0];
        let is_over = container["state"]["terminated"]["exitCode"].as_i64().is_some_and(|code| code != 0);
        container["restartCount"].as_u64().unwrap_or_default() + u64::from(is_over)
    };
    Ok(pods.iter().map(failed).sum())
}

fn operator(site: &Site, replicas: u8) -> Result<()> {
    let count = format!("--replicas={replicas}");
    let scale = ["--namespace", SYSTEM, "scale", "deployment", "--all", &count];
    site.platform.cluster.kubectl(&scale).map(drop)
}

async fn until_the_operator_is_gone(site: &Site) -> Result<()> {
    wait::until("no operator is left", async || {
        let pods = site.platform.cluster.kubectl(&["--namespace", SYSTEM, "get", "pods", "--output=name"])?;
        Ok(pods.is_empty().then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_that_failed_is_tried_again_until_the_slot_is_gone() -> Result<()> {
    let mut site = failing("cleanup-again", "5m").await?;
    site.postgres.start_again()?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    assert!(site.slots().await?.is_empty() && site.publications().await?.is_empty());
    let events = site.events()?;
    assert!(!events.iter().any(|event| event.contains("CleanupFailed")), "{events:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_ends_during_a_cleanup_is_followed_by_one_that_goes_on() -> Result<()> {
    let mut site = failing("cleanup-goes-on", "5m").await?;
    operator(&site, 0)?;
    until_the_operator_is_gone(&site).await?;
    site.postgres.start_again()?;
    operator(&site, 1)?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    assert!(site.slots().await?.is_empty() && site.publications().await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_deletion_goes_on_while_no_operator_runs() -> Result<()> {
    const TIMEOUT: i64 = 80;
    let site = failing("cleanup-timeout", &format!("{TIMEOUT}s")).await?;
    operator(&site, 0)?;
    let job = site.namespace()?.get("replicationjob", JOB)?;
    let deleted = moment(&job["metadata"]["deletionTimestamp"])?;
    wait::until("most of the time is over", async || {
        Ok((jiff::Timestamp::now().duration_since(deleted).as_secs() > TIMEOUT * 3 / 4).then_some(()))
    })
    .await?;
    operator(&site, 1)?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    let (began, gave_up) = (operator_began(&site)?, gave_up(&site).await?);
    // Measured by timestamps of the cluster: the second operator must not have counted from the beginning.
    let tried = gave_up.duration_since(began).as_secs();
    assert!(tried < TIMEOUT, "it gave up {tried} s after it began, and its time is {TIMEOUT} s");
    Ok(())
}

fn operator_began(site: &Site) -> Result<jiff::Timestamp> {
    let path = "--output=jsonpath={.items[0].status.containerStatuses[0].state.running.startedAt}";
    let text = site.platform.cluster.kubectl(&["--namespace", SYSTEM, "get", "pods", path])?;
    Ok(text.parse()?)
}

async fn gave_up(site: &Site) -> Result<jiff::Timestamp> {
    wait::until("the leak is reported", async || {
        let selector = "--field-selector=reason=CleanupFailed";
        let text = site.namespace()?.kubectl(&["get", "events", selector, "--output=json"])?;
        let events: Json = serde_json::from_str(&text)?;
        let Some(event) = events["items"].get(0) else { return Ok(None) };
        moment(&event["eventTime"]).map(Some)
    })
    .await
}

fn moment(value: &Json) -> Result<jiff::Timestamp> {
    Ok(value.as_str().context("a moment")?.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_on_a_node_that_died_does_not_keep_the_slot() -> Result<()> {
    let site = Site::alone("dead-node").await?;
    let mut job = site.job();
    job["spec"]["worker"] = json!({"drainTimeout": "1s"});
    site.namespace()?.apply(&job)?;
    site.until_ready().await?;
    let dead = DeadNode::beside(&site)?;
    site.namespace()?.patch(JOB, &json!({"spec": {"worker": {"logLevel": "Debug"}}}))?;
    wait::until("the worker's pod is on the dead node", async || {
        Ok(site.live_pods()?.iter().any(|pod| pod["spec"]["nodeName"] == DEAD).then_some(()))
    })
    .await?;
    dead.uncordon()?;
    assert_eq!(site.slots().await?.len(), 1);
    site.namespace()?.kubectl(&["delete", "replicationjob", JOB, "--wait=false"])?;
    site.namespace()?.until_gone("replicationjob", JOB).await?;
    assert!(site.slots().await?.is_empty() && site.publications().await?.is_empty());
    let pods = site.namespace()?.list("pods", &format!("dbmazz.dev/job={JOB}"))?;
    assert!(pods.iter().any(|pod| pod["spec"]["nodeName"] == DEAD), "its record is still there: {pods:?}");
    Ok(())
}

const DEAD: &str = "dead";

/// A node without a kubelet: pods that are bound to it never end. The real node is cordoned meanwhile.
struct DeadNode<'a>(&'a Site);

impl<'a> DeadNode<'a> {
    fn beside(site: &'a Site) -> Result<Self> {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": DEAD}});
        site.platform.cluster.apply(&node.to_string())?;
        let dead = Self(site);
        let room = json!({"cpu": "8", "memory": "16Gi", "pods": "100"});
        let ready = json!({"type": "Ready", "status": "True", "reason": "Test", "message": "once",
            "lastHeartbeatTime": jiff::Timestamp::now().to_string(),
            "lastTransitionTime": jiff::Timestamp::now().to_string()});
        let status = json!({"status": {"capacity": room, "allocatable": room, "conditions": [ready]}});
        let patch =
            ["patch", "node", DEAD, "--subresource=status", "--type=merge", "--patch", &status.to_string()];
        site.platform.cluster.kubectl(&patch)?;
        site.platform.cluster.kubectl(&["cordon", "--selector=kubernetes.io/hostname"])?;
        Ok(dead)
    }

    /// Uncordons the real node and cordons the dead one, because the scheduler avoids a node that is known to be dead.
    fn uncordon(&self) -> Result<()> {
        self.0.platform.cluster.kubectl(&["cordon", DEAD])?;
        self.0.platform.cluster.kubectl(&["uncordon", "--selector=kubernetes.io/hostname"]).map(drop)
    }
}

impl Drop for DeadNode<'_> {
    fn drop(&mut self) {
        drop(self.uncordon());
        drop(self.0.platform.cluster.kubectl(&["delete", "node", DEAD, "--wait=false"]));
        let force = ["--namespace", &self.0.name, "delete", "pods", "--all", "--force", "--grace-period=0"];
        drop(self.0.platform.cluster.kubectl(&force));
    }
}
