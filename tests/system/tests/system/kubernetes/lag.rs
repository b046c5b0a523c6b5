//! LAG shows how old the target is, also while no changes arrive, and is empty where the age is unknown.

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use system::wait;

use super::fixture::{JOB, Site};

async fn until_lag(site: &Site, what: &str, fits: impl Fn(&Json) -> bool) -> Result<()> {
    wait::until(what, async || {
        let job = site.namespace()?.get("replicationjob", JOB)?;
        let lag = &job["status"]["replication"]["lagSeconds"];
        ensure!(fits(lag), "{}", job["status"]["replication"]);
        Ok(Some(()))
    })
    .await
}

fn at_least_three(lag: &Json) -> bool {
    lag.as_i64().is_some_and(|seconds| seconds >= 3)
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_grows_while_nothing_comes_and_is_empty_when_nobody_knows() -> Result<()> {
    let mut site = Site::new("lag").await?;
    site.ready().await?;
    until_lag(&site, "a lag of 0", |lag| *lag == json!(0)).await?;
    let namespace = site.namespace()?;
    namespace.patch(JOB, &json!({"spec": {"state": "Paused"}}))?;
    until_lag(&site, "a lag that grows while the job is paused", at_least_three).await?;
    namespace.patch(JOB, &json!({"spec": {"state": "Stopped"}}))?;
    until_lag(&site, "no lag while there is no worker", Json::is_null).await?;
    namespace.patch(JOB, &json!({"spec": {"state": "Running"}}))?;
    until_lag(&site, "a lag of 0 again", |lag| *lag == json!(0)).await?;
    site.postgres.stop_immediate()?;
    until_lag(&site, "a lag that grows while the source is cut", at_least_three).await
}
