//! Commands reach the job, and its answers are returned unchanged.

use proto::{
    ControlResponse, DrainRequest, PauseRequest, ReloadConfigRequest, ResumeRequest, StartSnapshotRequest,
    StopRequest, cdc_control_service_client::CdcControlServiceClient,
};
use std::time::Duration;

use serde_json::json;
use worker::{config::BatchChange, control::Command, progress::State, table::TableName};

use crate::worker_in_test::{Worker, loopback, request};

#[tokio::test]
async fn every_command_reaches_the_job() {
    let mut worker = Worker::streaming().await;
    let client = CdcControlServiceClient::new(worker.channel().await);
    let stop = |skip_slot_cleanup, skip_publication_cleanup, release_past| StopRequest {
        skip_slot_cleanup,
        skip_publication_cleanup,
        release_past,
    };
    macro_rules! ask {
        ($method:ident, $request:expr) => {{
            let mut client = client.clone();
            let (answer, command) = tokio::join!(client.$method($request), worker.answer(true, "done"));
            assert_eq!(
                answer.unwrap().into_inner(),
                ControlResponse { success: true, message: "done".into() }
            );
            command
        }};
    }
    assert_eq!(ask!(pause, PauseRequest {}), Command::Pause);
    assert_eq!(ask!(resume, ResumeRequest {}), Command::Resume);
    assert_eq!(ask!(drain_and_stop, DrainRequest {}), Command::DrainAndStop);
    let asked = StartSnapshotRequest { tables: vec!["public.t".into()], request: "again".into() };
    let tables = vec![TableName::parse("public.t").unwrap()];
    assert_eq!(ask!(start_snapshot, asked), Command::Snapshot { tables, request: "again".into() });
    let none = BatchChange::default();
    let interval = |millis| Some(Duration::from_millis(millis));
    for (request, change) in [
        (ReloadConfigRequest::default(), none),
        (
            ReloadConfigRequest { flush_size: 7, ..Default::default() },
            BatchChange { max_rows: Some(7), ..none },
        ),
        (
            ReloadConfigRequest { flush_interval_ms: 90_000, ..Default::default() },
            BatchChange { min_interval: interval(1000), ..none },
        ),
        (
            ReloadConfigRequest {
                flush_interval_ms: 20,
                min_interval_ms: 5000,
                max_bytes: 9,
                ..Default::default()
            },
            BatchChange { min_interval: interval(5000), max_bytes: Some(9), ..none },
        ),
    ] {
        assert_eq!(ask!(reload_config, request), Command::Reload { batch: change, tables: None });
    }
    let tables = ReloadConfigRequest { tables: vec!["s.t".into()], ..Default::default() };
    let selected = Command::Reload { batch: none, tables: Some(vec![TableName::parse("s.t").unwrap()]) };
    assert_eq!(ask!(reload_config, tables), selected);
    for (skips, keeps) in
        [((false, false), (false, false)), ((true, false), (true, true)), ((false, true), (false, true))]
    {
        for release_past in [false, true] {
            let command = ask!(stop, stop(skips.0, skips.1, release_past));
            let (keep_slot, keep_publication) = keeps;
            assert_eq!(command, Command::Stop { keep_slot, keep_publication, release_past });
        }
    }
}

#[tokio::test]
async fn a_refused_command_is_an_answer() {
    let mut worker = Worker::streaming().await;
    let mut client = CdcControlServiceClient::new(worker.channel().await);
    let (answer, _) = tokio::join!(client.pause(PauseRequest {}), worker.answer(false, "the job is paused"));
    assert_eq!(
        answer.unwrap().into_inner(),
        ControlResponse { success: false, message: "the job is paused".into() }
    );
}

#[tokio::test]
async fn a_copy_of_what_is_no_table_is_refused_without_asking_the_job() {
    let worker = Worker::streaming().await;
    let mut client = CdcControlServiceClient::new(worker.channel().await);
    let asked = StartSnapshotRequest { tables: vec![".t".into()], request: String::new() };
    let answer = client.start_snapshot(asked).await.unwrap().into_inner();
    assert!(!answer.success && answer.message.contains(".t"), "{answer:?}");
    assert!(worker.requests.is_empty());
}

#[tokio::test]
async fn a_job_that_has_ended_refuses_everything() {
    let mut worker = Worker::streaming().await;
    worker.requests.close();
    let mut client = CdcControlServiceClient::new(worker.channel().await);
    let answer = client.pause(PauseRequest {}).await.unwrap().into_inner();
    assert_eq!(answer, ControlResponse { success: false, message: "the job has ended".into() });
    let reply = worker.send("POST", "/pause", "").await;
    assert_eq!((reply.code, reply.json()), (400, json!({"ok": false, "error": "No active replication"})));
}

#[tokio::test]
async fn commands_over_http_answer_with_the_state() {
    let mut worker = Worker::streaming().await;
    for (path, state, command) in [
        ("/pause", State::Paused, Command::Pause),
        ("/resume", State::Running, Command::Resume),
        ("/drain-stop", State::Stopped, Command::DrainAndStop),
    ] {
        worker.progress.set_state(state);
        let asking = request(worker.http, "POST", path, "");
        let (reply, asked) = tokio::join!(asking, worker.answer(true, "done"));
        assert_eq!((reply.code, asked), (200, command));
        assert_eq!(reply.json(), json!({"ok": true, "state": state.to_string()}));
    }
}

#[tokio::test]
async fn a_page_of_another_site_gives_no_commands() {
    let worker = Worker::streaming().await;
    let reply = worker.send("POST", "/pause", "origin: http://evil.example\r\n").await;
    assert_eq!((reply.code, reply.json()["ok"].as_bool()), (403, Some(false)));
    assert!(worker.requests.is_empty());
}

#[tokio::test]
async fn in_a_pod_http_gives_no_commands() {
    let worker = Worker::listening(loopback(false)).await;
    assert_eq!(worker.send("POST", "/pause", "").await.code, 403);
    assert!(worker.requests.is_empty());
}
