//! The control port of a worker's pod: every pod can reach it, but only the operator can command.

use anyhow::{Context, Result, bail};
use proto::{
    StatusRequest, StopRequest, cdc_control_service_client::CdcControlServiceClient,
    cdc_status_service_client::CdcStatusServiceClient,
};
use serde_json::json;
use system::{wait, workload::Workload};
use testbed::forward::Forwarder;
use tonic::{Code, transport::Channel};

use super::fixture::{JOB, Site};

const GRPC_PORT: u16 = 50051;

/// The control port of the worker's pod, reached as from any other pod.
async fn control_port(site: &Site) -> Result<(Forwarder, Channel)> {
    let pod = site.pod().await?;
    let address = pod["status"]["podIP"].as_str().context("an address")?.parse()?;
    let forwarder = site.platform.cluster.forward((std::net::IpAddr::V4(address), GRPC_PORT).into())?;
    let channel = Channel::from_shared(format!("http://127.0.0.1:{}", forwarder.port()))?.connect().await?;
    Ok((forwarder, channel))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_in_the_cluster_cannot_stop_a_worker() -> Result<()> {
    let site = Site::new("stranger").await?;
    site.ready().await?;
    let before = site.incarnation().await?;
    let (_forwarder, channel) = control_port(&site).await?;
    match CdcControlServiceClient::new(channel.clone()).stop(StopRequest::default()).await {
        Ok(answer) => bail!("the worker obeyed: {answer:?}"),
        Err(status) => assert_eq!(status.code(), Code::Unauthenticated, "{status}"),
    }
    assert!(CdcStatusServiceClient::new(channel).get_status(StatusRequest {}).await?.into_inner().ready);
    assert_eq!(site.slots().await?.len(), 1);
    site.write(&mut Workload::new(51, 100), 20).await?;
    site.until_equal().await?;
    // The operator has the token, so its commands are carried out without a restart.
    for (state, stage) in [("Paused", "Paused"), ("Running", "Streaming")] {
        site.namespace()?.patch(JOB, &json!({"spec": {"state": state}}))?;
        wait::until(&format!("the job is {stage}"), async || {
            let job = site.namespace()?.get("replicationjob", JOB)?;
            Ok((job["status"]["stage"] == stage).then_some(()))
        })
        .await?;
    }
    assert_eq!(site.incarnation().await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_a_secret_of_the_job_and_in_no_log() -> Result<()> {
    let site = Site::new("token").await?;
    site.ready().await?;
    let namespace = site.namespace()?;
    let secret = namespace.get("secret", &format!("dbmazz-{JOB}-control"))?;
    let owner = &secret["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"]), (&json!("ReplicationJob"), &json!(JOB)));
    let encoded = secret["data"]["token"].as_str().context("a token")?;
    let token = String::from_utf8(base64_decoded(encoded)?)?;
    assert_eq!(token.len(), 64, "256 bits");
    let operator = site.platform.cluster.kubectl(&[
        "--namespace",
        system::cluster::SYSTEM,
        "logs",
        "--selector",
        "app.kubernetes.io/name=dbmazz-operator",
        "--tail=-1",
    ])?;
    let worker = namespace.kubectl(&["logs", &format!("deployment/dbmazz-{JOB}")])?;
    for (whose, log) in [("operator", operator), ("worker", worker)] {
        assert!(!log.contains(&token) && !log.contains(encoded), "the log of the {whose} tells the token");
    }
    let ports = namespace.get("service", &format!("dbmazz-{JOB}"))?["spec"]["ports"].clone();
    let ports: Vec<_> = ports.as_array().into_iter().flatten().map(|port| port["port"].clone()).collect();
    assert_eq!(ports, [json!(8080)], "the Service does not offer the control port");
    Ok(())
}

fn base64_decoded(text: &str) -> Result<Vec<u8>> {
    let mut command = std::process::Command::new("base64");
    let decoded = testbed::run::output_with_input(command.arg("--decode"), text)?;
    Ok(decoded.into_bytes())
}
