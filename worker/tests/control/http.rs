//! Probes, status and metrics.

use crds::Reason;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use worker::{
    config::ListenConfig,
    control::{self, JobInfo},
    fault::{Fault, Part},
    progress::{Progress, Stage, State},
};

use crate::worker_in_test::{Worker, loopback, raw};

fn unreachable_sink() -> Fault {
    Fault::retry(Part::Sink, Reason::SinkUnreachable, "no frontend answered", "check the address")
}

#[tokio::test]
async fn health_is_told_before_anything_is_connected() {
    let worker = Worker::start().await;
    let reply = worker.get("/healthz").await;
    assert_eq!((reply.code, reply.json()), (200, json!({"status": "ok", "stage": "init", "uptime_secs": 0})));
    assert_eq!(worker.get("/livez").await.code, 200);
    let reply = worker.get("/readyz").await;
    assert_eq!((reply.code, reply.json()["reason"].as_str()), (503, Some("Starting")));
}

#[tokio::test]
async fn a_job_that_replicates_or_was_paused_is_ready() {
    let worker = Worker::streaming().await;
    for state in [State::Running, State::Paused] {
        worker.progress.set_state(state);
        assert_eq!(worker.get("/readyz").await.code, 200, "{state}");
    }
    for (state, reason) in [(State::Draining, "Draining"), (State::Stopped, "Stopped")] {
        worker.progress.set_state(state);
        let reply = worker.get("/readyz").await;
        assert_eq!((reply.code, reply.json()["reason"].as_str()), (503, Some(reason)));
    }
}

#[tokio::test]
async fn a_fault_is_told_with_its_remedy_and_the_one_for_a_person_goes_first() {
    let worker = Worker::streaming().await;
    worker.progress.raise(unreachable_sink());
    let told = worker.get("/readyz").await.json();
    assert_eq!(
        (told["reason"].as_str(), told["fix"].as_str()),
        (Some("SinkUnreachable"), Some("check the address"))
    );
    let lost = Fault::halt(Part::Source, Reason::SlotLost, "the slot is gone", "make a new job");
    worker.progress.raise(lost);
    let told = worker.get("/readyz").await.json();
    assert_eq!(
        (told["reason"].as_str(), told["message"].as_str()),
        (Some("SlotLost"), Some("the slot is gone"))
    );
    assert_eq!(told["faults"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_status_has_every_field_of_the_contract() {
    let worker = Worker::streaming().await;
    let status = worker.get("/status").await.json();
    let expected = json!({
        "engine_running": true, "state": "running", "stage": "cdc", "stage_detail": "replicating changes",
        "uptime_secs": 0, "events_processed": 10, "replication_lag_ms": 200, "batches_sent": 1,
        "pending_events": 2, "current_lsn": "0x100000020", "confirmed_lsn": "0x100000008",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&status[name], value, "{name}");
    }
    assert!(
        status["events_per_second"].is_number() && status["estimated_memory_bytes"].as_u64() > Some(1 << 20)
    );
}

#[tokio::test]
async fn the_metrics_have_the_names_of_the_contract_and_ours() {
    let worker = Worker::streaming().await;
    worker.progress.raise(unreachable_sink());
    let reply = worker.get("/metrics").await;
    assert!(reply.head.contains("content-type: application/openmetrics-text"), "{}", reply.head);
    for line in [
        "dbmazz_events_processed_total 10",
        "dbmazz_events_per_second 0.0",
        "dbmazz_replication_lag_ms 200.0",
        "dbmazz_batches_sent_total 1",
        "dbmazz_pending_events 2.0",
        "dbmazz_table_rows_total{table=\"public.orders\"} 9",
        "dbmazz_table_bytes_total{table=\"public.orders\"} 900",
        "dbmazz_table_loads_total{table=\"public.orders\",outcome=\"durable\"} 1",
        "dbmazz_table_loads_total{table=\"sales.items\",outcome=\"retried\"} 0",
        "dbmazz_load_duration_seconds_bucket{le=\"0.01\"} 0",
        "dbmazz_load_duration_seconds_bucket{le=\"0.025\"} 1",
        "dbmazz_load_duration_seconds_bucket{le=\"+Inf\"} 1",
        "dbmazz_commit_to_durable_seconds_sum 0.2",
        "dbmazz_commit_to_durable_seconds_count 1",
        "dbmazz_received_lsn 4294967328",
        "dbmazz_lag_bytes 16.0",
        "dbmazz_reconnects_total 0",
        "dbmazz_load_retries_total 0",
        "dbmazz_fault{reason=\"SinkUnreachable\"} 1.0",
        "dbmazz_fault{reason=\"SlotLost\"} 0.0",
        "dbmazz_ready 0.0",
        "dbmazz_build_info{version=\"1.2.3\"} 1",
        "# EOF",
    ] {
        assert!(reply.body.lines().any(|found| found == line), "{line} is not in\n{}", reply.body);
    }
    assert!(
        reply.body.contains("process_resident_memory_bytes ")
            && reply.body.contains("process_cpu_seconds_total ")
    );
    assert!(worker.get("/metrics/prometheus").await.body.contains("dbmazz_events_processed_total 10\n"));
}

#[tokio::test]
async fn what_is_not_here_is_refused_with_a_reason() {
    let worker = Worker::start().await;
    for (method, path, code) in [
        ("GET", "/", 404),
        ("GET", "/api/tables", 404),
        ("GET", "/status/", 404),
        ("GET", "/%73tatus", 404),
        ("OPTIONS", "*", 404),
        ("CONNECT", "elsewhere:80", 404),
        ("GET", "/pause", 405),
        ("POST", "/status", 405),
        ("OPTIONS", "/status", 405),
        ("TRACE", "/pause", 405),
    ] {
        let reply = worker.send(method, path, "").await;
        assert_eq!((reply.code, reply.json()["ok"].as_bool()), (code, Some(false)), "{method} {path}");
        assert!(reply.json()["error"].is_string());
    }
    for (path, code) in [("/healthz", 200), ("/pause", 405), ("/absent", 404)] {
        let reply = worker.send("HEAD", path, "").await;
        assert_eq!((reply.code, reply.body.as_str()), (code, ""), "{path}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_or_none_at_all_hurts_nobody_else() {
    let worker = Worker::start().await;
    let large = format!("GET /status HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(64 << 10));
    assert!(matches!(raw(worker.http, &large).await.code, 400..500));
    assert_eq!(raw(worker.http, "nonsense\r\n\r\n").await.code, 400);
    let mut unfinished = TcpStream::connect(worker.http).await.unwrap();
    unfinished.write_all(b"GET /sta").await.unwrap();
    assert_eq!(worker.get("/healthz").await.code, 200);
    worker.progress.set_stage(Stage::Cdc);
    worker.ends().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_variable() {
    let worker = Worker::start().await;
    for (listen, variable) in [
        (ListenConfig { grpc: worker.grpc, ..loopback(true) }, "GRPC_PORT"),
        (ListenConfig { http: worker.http, ..loopback(true) }, "HTTP_API_PORT"),
    ] {
        let info = JobInfo { slot: "s".into(), version: "1" };
        let (commands, _requests) = tokio::sync::mpsc::channel(1);
        let progress = std::sync::Arc::new(Progress::new(&[]));
        let fault = control::serve(&listen, progress, commands, info, worker.stop.clone()).await.unwrap_err();
        assert_eq!((fault.part, fault.reason), (Part::Job, Reason::BadConfiguration));
        assert!(
            fault.fix.contains(variable) && fault.message.contains("127.0.0.1:"),
            "{} {}",
            fault.message,
            fault.fix
        );
    }
}
