//! Without the token a client can read, but not command.

use std::{fs, net::Ipv4Addr};

use proto::{
    DrainRequest, PauseRequest, ReloadConfigRequest, ResumeRequest, StartSnapshotRequest, StatusRequest,
    StopRequest, cdc_control_service_client::CdcControlServiceClient,
    cdc_status_service_client::CdcStatusServiceClient,
};
use tonic::{Code, Request, metadata::MetadataValue};
use worker::{
    config::{ControlToken, ListenConfig},
    control::Command,
};

use crate::worker_in_test::{Worker, loopback, request};

const TOKEN: &str = "4f1c0e5a9d3b7c2e8f60a1b2c3d4e5f6";

/// A configuration with a token in a file, as in a pod.
fn guarded() -> (tempfile::NamedTempFile, ListenConfig) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), TOKEN).unwrap();
    let token = Some(ControlToken::File(file.path().to_owned()));
    (file, ListenConfig { token, ..loopback(true) })
}

/// A configuration that listens on every address, as in a pod.
fn widened() -> ListenConfig {
    let any = (Ipv4Addr::UNSPECIFIED, 0).into();
    ListenConfig { grpc: any, http: any, ..loopback(true) }
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

#[tokio::test]
async fn a_stranger_at_the_control_port_commands_nothing() {
    let (_file, listen) = guarded();
    let worker = Worker::listening(listen).await;
    let client = CdcControlServiceClient::new(worker.channel().await);
    macro_rules! refused {
        ($($method:ident($message:expr)),+ $(,)?) => {$(
            for message in [Request::new($message), with_token($message, "00000000000000000000000000000000")] {
                let status = client.clone().$method(message).await.unwrap_err();
                assert_eq!(status.code(), Code::Unauthenticated, "{status}");
                assert!(!status.message().contains(TOKEN), "{status}");
            }
        )+};
    }
    refused!(
        pause(PauseRequest {}),
        resume(ResumeRequest {}),
        drain_and_stop(DrainRequest {}),
        stop(StopRequest::default()),
        reload_config(ReloadConfigRequest::default()),
        start_snapshot(StartSnapshotRequest::default()),
    );
    assert!(worker.requests.is_empty(), "the job was asked nothing");
    let mut status = CdcStatusServiceClient::new(worker.channel().await);
    assert!(status.get_status(StatusRequest {}).await.is_ok(), "reading needs no token");
}

#[tokio::test]
async fn who_knows_the_token_commands_and_a_changed_token_counts_at_once() {
    let (file, listen) = guarded();
    let mut worker = Worker::listening(listen).await;
    let mut client = CdcControlServiceClient::new(worker.channel().await);
    for token in [TOKEN, "another-token-of-this-very-job"] {
        fs::write(file.path(), format!("{token}\n")).unwrap();
        let pause = client.pause(with_token(PauseRequest {}, token));
        let (answer, command) = tokio::join!(pause, worker.answer(true, "done"));
        assert_eq!((answer.unwrap().into_inner().success, command), (true, Command::Pause));
    }
    let former = client.pause(with_token(PauseRequest {}, TOKEN)).await.unwrap_err();
    assert_eq!(former.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn commands_over_http_need_the_token_too() {
    let (_file, listen) = guarded();
    let mut worker = Worker::listening(listen).await;
    for headers in ["", "authorization: Bearer wrong\r\n"] {
        assert_eq!(worker.send("POST", "/pause", headers).await.code, 401, "{headers:?}");
    }
    assert!(worker.requests.is_empty());
    let headers = format!("authorization: Bearer {TOKEN}\r\n");
    let asking = request(worker.http, "POST", "/drain-stop", &headers);
    let (reply, command) = tokio::join!(asking, worker.answer(true, "done"));
    assert_eq!((reply.code, command), (200, Command::DrainAndStop));
}

#[tokio::test]
async fn an_address_that_others_reach_takes_no_command_without_a_token_and_says_why() {
    let mut worker = Worker::listening(widened()).await;
    worker.grpc.set_ip(Ipv4Addr::LOCALHOST.into());
    worker.http.set_ip(Ipv4Addr::LOCALHOST.into());
    let mut client = CdcControlServiceClient::new(worker.channel().await);
    let status = client.stop(StopRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("DBMAZZ_CONTROL_TOKEN_FILE"), "{status}");
    let reply = worker.send("POST", "/drain-stop", "").await;
    assert_eq!(reply.code, 403);
    assert!(reply.body.contains("DBMAZZ_CONTROL_TOKEN_FILE"), "{}", reply.body);
    assert!(worker.requests.is_empty());
    assert_eq!(worker.get("/metrics").await.code, 200, "it tells all the same");
}
