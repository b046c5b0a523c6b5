//! A directory as the operator mounts it, changed one field at a time.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::{Deletes, JsonNumbers, LogLevel, OnLost, OnRefusedRow, TooLong, Unfit, Values};

fn least() -> Value {
    let credentials = json!({"secretRef": {"name": "s"}});
    json!({
        "job": "shop/orders", "slot": "dbmazz_shop_orders_1", "publication": "dbmazz_shop_orders_1",
        "spec": {
            "source": {"postgres": {"host": "pg-rw.shop.svc", "database": "app", "credentials": credentials,
                                    "tables": ["public.orders", "sales.items"]}},
            "sink": {"starrocks": {"host": "sr-fe", "database": "app", "credentials": credentials}},
        },
    })
}

fn mounted(job: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (file, content) in [
        (JOB_FILE, job),
        (SOURCE_USERNAME, "repl\n"),
        (SOURCE_PASSWORD, "hunter2\n"),
        (SINK_USERNAME, "writer"),
        (SINK_PASSWORD, ""),
        (SOURCE_CA, "-----BEGIN CERTIFICATE-----\n"),
    ] {
        let path = directory.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    directory
}

fn with(pointer: &str, value: Value) -> Result<JobConfig, ConfigError> {
    let mut job = least();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut place = &mut job;
    for step in parent.split('/').filter(|step| !step.is_empty()) {
        place = &mut place[step];
    }
    place[name] = value;
    read(mounted(&job.to_string()).path(), |_| None)
}

#[test]
fn what_a_person_must_write_is_enough() {
    let job = read(mounted(&least().to_string()).path(), |_| None).unwrap();
    assert_eq!((job.job.as_str(), job.source.slot.as_str()), ("shop/orders", "dbmazz_shop_orders_1"));
    assert_eq!((job.source.user.as_str(), job.source.password.reveal()), ("repl", "hunter2"));
    assert_eq!((job.sink.user.as_str(), job.sink.password.reveal()), ("writer", ""));
    assert_eq!((job.source.tls.mode, job.source.tls.ca_file), (TlsMode::VerifyFull, None));
    assert_eq!((job.source.port, job.sink.http_port, job.sink.query_port), (5432, 8030, 9030));
    assert_eq!((job.batch.max_rows, job.batch.max_bytes), (100_000, 16 << 20));
    assert_eq!(
        (job.batch.min_interval, job.drain_timeout),
        (Duration::from_secs(1), Duration::from_secs(60))
    );
    assert_eq!((job.buffer, job.sink.deletes, job.log_level), (32 << 20, Deletes::Soft, LogLevel::Info));
    assert_eq!(
        (job.listen.grpc.to_string(), job.listen.http.to_string()),
        ("0.0.0.0:50051".into(), "0.0.0.0:8080".into())
    );
    assert!(!job.paused);
}

#[test]
fn a_job_that_shall_not_run_starts_paused() {
    for state in ["Paused", "Stopped"] {
        assert!(with("/spec/state", json!(state)).unwrap().paused, "{state}");
    }
}

#[test]
fn the_rules_for_copies_are_read() {
    let only = with("/spec/snapshot/mode", json!("Only")).unwrap().snapshot;
    assert!(only.initial && only.only);
    let never = with("/spec/snapshot/mode", json!("Never")).unwrap().snapshot;
    assert!(!never.initial && !never.only);
    let lost = with("/spec/snapshot/onTargetLost", json!("Copy")).unwrap().sink.on_target_lost;
    assert_eq!(lost, OnTargetLost::Copy);
    let slot = with("/spec/source/postgres/slot/onLost", json!("Resnapshot")).unwrap().source.on_lost;
    assert_eq!(slot, OnLost::Resnapshot);
}

#[test]
fn the_authority_is_the_file_beside_the_job() {
    let job = with("/spec/source/postgres/tls", json!({"caSecretRef": {"name": "ca"}})).unwrap();
    assert!(job.source.tls.ca_file.unwrap().ends_with(SOURCE_CA));
}

#[test]
fn a_load_is_never_larger_than_the_buffer() {}

#[test]
fn a_refusal_names_the_field_as_the_user_writes_it() {
    for (pointer, value, field) in [
        ("/slot", json!("Upper"), "slot"),
        ("/publication", json!(""), "publication"),
        ("/job", json!(""), "job"),
        ("/spec/source/postgres/host", json!("a,b"), "spec.source.postgres.host"),
        ("/spec/source/postgres/port", json!(0), "spec.source.postgres.port"),
        ("/spec/source/postgres/port", json!("5432"), "spec.source.postgres.port"),
        ("/spec/source/postgres/database", json!(""), "spec.source.postgres.database"),
        ("/spec/source/postgres/tables", json!([]), "spec.source.postgres.tables"),
        ("/spec/source/postgres/tables", json!(["a.b", "a.b"]), "spec.source.postgres.tables"),
        ("/spec/source/postgres/tls", json!({"mode": "Prefer"}), "spec.source.postgres.tls.mode"),
        (
            "/spec/source/postgres/tls",
            json!({"mode": "Require", "caSecretRef": {"name": "ca"}}),
            "spec.source.postgres.tls.caSecretRef",
        ),
        ("/spec/sink/starrocks/host", json!("http://fe"), "spec.sink.starrocks.host"),
        ("/spec/sink/starrocks/queryPort", json!(0), "spec.sink.starrocks.queryPort"),
        ("/spec/sink/starrocks/batch", json!({"maxRows": 0}), "spec.sink.starrocks.batch.maxRows"),
        ("/spec/sink/starrocks/batch", json!({"maxBytes": "1G"}), "spec.sink.starrocks.batch.maxBytes"),
        ("/spec/sink/starrocks/batch", json!({"minInterval": "5"}), "spec.sink.starrocks.batch.minInterval"),
        ("/spec/worker", json!({"buffer": "1Ki"}), "spec.worker.buffer"),
        ("/spec/worker", json!({"drainTimeout": "2h"}), "spec.worker.drainTimeout"),
        ("/spec/state", json!("Sleeping"), "spec.state"),
    ] {
        let error = with(pointer, value.clone()).unwrap_err();
        assert!(error.field.starts_with(field), "{pointer} {value}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_field_of_a_later_version_is_passed_over() {
    assert!(with("/spec/sink/starrocks/batchSize", json!(1)).is_ok());
    assert!(with("/spec/novelty", json!({})).is_ok());
}

#[test]
fn a_missing_secret_is_named_by_its_field() {
    let directory = mounted(&least().to_string());
    std::fs::remove_file(directory.path().join(SINK_PASSWORD)).unwrap();
    let error = read(directory.path(), |_| None).unwrap_err().to_string();
    assert!(
        error.starts_with("spec.sink.starrocks.credentials: ") && error.contains(SINK_PASSWORD),
        "{error}"
    );
}

#[test]
fn a_description_that_is_none_is_refused() {
    for text in ["", "{", "[]", "null", &format!("{}x", least()), &" ".repeat(DESCRIPTION as usize + 1)] {
        assert!(read(mounted(text).path(), |_| None).is_err());
    }
}

#[test]
fn rules_for_values_and_refused_rows_are_read_and_other_words_refused() {
    let sink = "/spec/sink/starrocks";
    let values = json!({"dates": "Text", "jsonNumbers": "Round", "tooLong": "Truncate"});
    let job = with(&format!("{sink}/values"), values).unwrap();
    let Values { dates, decimals, json, json_numbers, too_long } = job.sink.values;
    assert_eq!((dates, decimals, json), (Unfit::Text, Unfit::Halt, Unfit::Halt));
    assert_eq!((json_numbers, too_long), (JsonNumbers::Round, TooLong::Truncate));
    let job = with(&format!("{sink}/onRefusedRow"), "DeadLetter".into()).unwrap();
    assert_eq!(job.sink.on_refused_row, OnRefusedRow::DeadLetter);
    assert!(with(&format!("{sink}/values"), json!({"dates": "Drop"})).is_err());
    assert!(with(&format!("{sink}/onRefusedRow"), "Drop".into()).is_err());
}
