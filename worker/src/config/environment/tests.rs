//! One row for each variable of the contract.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    fs,
};

use proptest::prelude::*;

use super::*;
use crate::config::TlsMode;

/// The least that describes a job.
const LEAST: [(&str, &str); 3] =
    [("SOURCE_URL", "postgres://u:hunter2@pg/app"), ("SINK_URL", "fe"), ("SINK_DATABASE", "app")];

/// The same, changed by `changes`.
fn job(changes: &[(&str, &str)]) -> Result<JobConfig, ConfigError> {
    let variables: HashMap<&str, &str> = LEAST.iter().chain(changes).copied().collect();
    read(|name| variables.get(name).map(|value| (*value).to_owned()))
}

fn tables_of(job: &JobConfig) -> Vec<String> {
    job.source.tables.iter().map(ToString::to_string).collect()
}

#[test]
fn docs_name_every_variable() {
    let asked = RefCell::new(BTreeSet::new());
    let least: HashMap<&str, &str> = LEAST.into_iter().collect();
    let variables = |name: &str| {
        asked.borrow_mut().insert(name.strip_suffix("_FILE").unwrap_or(name).to_owned());
        least.get(name).map(|value| (*value).to_owned())
    };
    read(variables).unwrap();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md")).unwrap();
    let is_named = |name: &String| page.contains(&format!("`{name}`")) || page.contains(&format!("${name}/"));
    let missing: Vec<_> = asked.into_inner().into_iter().filter(|name| !is_named(name)).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not name {missing:?}");
}

#[test]
fn three_variables_describe_a_job_and_the_rest_are_the_defaults_of_the_contract() {
    let job = job(&[]).unwrap();
    assert_eq!((job.source.host.as_str(), job.source.port), ("pg", 5432));
    assert_eq!((job.source.user.as_str(), job.source.password.reveal()), ("u", "hunter2"));
    assert_eq!((job.source.slot.as_str(), job.source.publication.as_str()), ("dbmazz_slot", "dbmazz_pub"));
    assert_eq!(job.source.tls.mode, TlsMode::Disable);
    assert_eq!(tables_of(&job), ["public.orders", "public.order_items"]);
    assert_eq!((job.sink.host.as_str(), job.sink.http_port, job.sink.query_port), ("fe", 8030, 9030));
    assert_eq!((job.sink.user.as_str(), job.sink.password.reveal()), ("root", ""));
    assert_eq!((job.sink.database.as_str(), job.sink.deletes), ("app", Deletes::Soft));
    assert_eq!((job.batch.max_rows, job.batch.min_interval), (10_000, Duration::from_secs(1)));
    assert_eq!(job.listen.grpc.to_string(), "127.0.0.1:50051");
    assert_eq!(job.listen.http.to_string(), "127.0.0.1:8080");
    assert_eq!((job.job.as_str(), job.paused), ("dbmazz_slot", false));
}

#[test]
fn every_variable_of_the_contract_has_its_effect() {
    type Seen = fn(&JobConfig) -> String;
    let rows: &[(&str, &str, Seen, &str)] = &[
        ("SOURCE_TYPE", "PostgreSQL", |job| job.source.host.clone(), "pg"),
        ("SOURCE_URL", "postgres://a:b@c:1/d", |job| job.source.database.clone(), "d"),
        ("SOURCE_SLOT_NAME", "s1", |job| job.source.slot.clone(), "s1"),
        ("SOURCE_SLOT_NAME", "s1", |job| job.job.clone(), "s1"),
        ("SOURCE_PUBLICATION_NAME", "p1", |job| job.source.publication.clone(), "p1"),
        ("TABLES", " a , sales.b ,", |job| tables_of(job).join(" "), "public.a sales.b"),
        ("SINK_TYPE", "StarRocks", |job| job.sink.host.clone(), "fe"),
        ("SINK_URL", "http://sr:80", |job| format!("{}:{}", job.sink.host, job.sink.http_port), "sr:80"),
        ("SINK_PORT", " 9031 ", |job| job.sink.query_port.to_string(), "9031"),
        ("SINK_PORT", "", |job| job.sink.query_port.to_string(), "9030"),
        ("SINK_DATABASE", "dw", |job| job.sink.database.clone(), "dw"),
        ("SINK_USER", "loader", |job| job.sink.user.clone(), "loader"),
        ("SINK_PASSWORD", "x y", |job| job.sink.password.reveal().to_owned(), "x y"),
        ("FLUSH_SIZE", "7", |job| job.batch.max_rows.to_string(), "7"),
        ("FLUSH_INTERVAL_MS", "250", |job| format!("{:?}", job.batch.min_interval), "250ms"),
        ("FLUSH_INTERVAL_MS", "60000", |job| format!("{:?}", job.batch.min_interval), "1s"),
        ("DBMAZZ_VALUES_DATES", "Text", |job| format!("{:?}", job.sink.values.dates), "Text"),
        ("DBMAZZ_VALUES_DECIMALS", "Null", |job| format!("{:?}", job.sink.values.decimals), "Null"),
        ("DBMAZZ_VALUES_JSON", "", |job| format!("{:?}", job.sink.values.json), "Halt"),
        ("DBMAZZ_VALUES_JSON_NUMBERS", "Round", |job| format!("{:?}", job.sink.values.json_numbers), "Round"),
        ("DBMAZZ_VALUES_TOO_LONG", "Truncate", |job| format!("{:?}", job.sink.values.too_long), "Truncate"),
        ("DBMAZZ_ON_REFUSED_ROW", "DeadLetter", |job| format!("{:?}", job.sink.on_refused_row), "DeadLetter"),
        ("DBMAZZ_SLOT_ON_LOST", "Resnapshot", |job| format!("{:?}", job.source.on_lost), "Resnapshot"),
        ("DBMAZZ_ON_TARGET_LOST", "Copy", |job| format!("{:?}", job.sink.on_target_lost), "Copy"),
        ("GRPC_PORT", "0", |job| job.listen.grpc.to_string(), "127.0.0.1:0"),
        ("DBMAZZ_CONTROL_PORT", "6000", |job| job.listen.grpc.to_string(), "127.0.0.1:6000"),
        (
            "GRPC_HOST",
            "0.0.0.0",
            |job| format!("{} {}", job.listen.grpc, job.listen.http),
            "0.0.0.0:50051 127.0.0.1:8080",
        ),
        ("HTTP_API_PORT", "9000", |job| job.listen.http.to_string(), "127.0.0.1:9000"),
        (
            "HTTP_API_HOST",
            "::",
            |job| format!("{} {}", job.listen.grpc, job.listen.http),
            "127.0.0.1:50051 [::]:8080",
        ),
        ("DO_SNAPSHOT", "FALSE", |job| job.snapshot.initial.to_string(), "false"),
        ("DO_SNAPSHOT", "true", |job| job.snapshot.initial.to_string(), "true"),
        ("SNAPSHOT_CHUNK_SIZE", "1", |job| job.snapshot.chunk_rows.to_string(), "1"),
        ("SNAPSHOT_PARALLEL_WORKERS", "4", |job| job.snapshot.parallelism.to_string(), "4"),
        (
            "INITIAL_SNAPSHOT_ONLY",
            "1",
            |job| format!("{:?}", (job.snapshot.initial, job.snapshot.only)),
            "(true, true)",
        ),
    ];
    for (name, value, seen, expected) in rows {
        assert_eq!(seen(&job(&[(name, value)]).unwrap()), *expected, "{name}={value}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_refused_by_the_name_of_its_variable() {
    for (name, value) in [
        ("SOURCE_TYPE", "mysql"),
        ("SOURCE_URL", ""),
        ("SOURCE_URL", "nonsense"),
        ("SOURCE_PASSWORD", "second"),
        ("SOURCE_SLOT_NAME", "Not-A-Slot"),
        ("SOURCE_PUBLICATION_NAME", "a\nb"),
        ("TABLES", " , "),
        ("TABLES", "a,a"),
        ("TABLES", ".a"),
        ("SINK_TYPE", "clickhouse"),
        ("SINK_URL", ""),
        ("SINK_URL", "https://fe"),
        ("SINK_PORT", "abc"),
        ("SINK_PORT", "0"),
        ("SINK_PORT", "65536"),
        ("SINK_DATABASE", ""),
        ("SINK_USER", "a\0b"),
        ("FLUSH_SIZE", "0"),
        ("FLUSH_SIZE", "many"),
        ("FLUSH_SIZE", "99999999999"),
        ("FLUSH_INTERVAL_MS", "-1"),
        ("DBMAZZ_VALUES_DATES", "Truncate"),
        ("DBMAZZ_VALUES_TOO_LONG", "Text"),
        ("DBMAZZ_ON_REFUSED_ROW", "Drop"),
        ("DBMAZZ_ON_TARGET_LOST", "copy"),
        ("DBMAZZ_SLOT_ON_LOST", "Copy"),
        ("GRPC_PORT", "99999"),
        ("DBMAZZ_CONTROL_PORT", "x"),
        ("GRPC_HOST", "localhost"),
        ("HTTP_API_PORT", "50051"),
        ("HTTP_API_HOST", "300.0.0.1"),
        ("DO_SNAPSHOT", "perhaps"),
        ("INITIAL_SNAPSHOT_ONLY", "maybe"),
        ("SNAPSHOT_CHUNK_SIZE", "0"),
        ("SNAPSHOT_PARALLEL_WORKERS", "0"),
        ("SINK_PASSWORD_FILE", "/nowhere/secret"),
    ] {
        let error = job(&[(name, value)]).unwrap_err();
        assert_eq!(error.field, name, "{name}={value}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_port_and_its_alias_must_agree() {
    let error = job(&[("GRPC_PORT", "1"), ("DBMAZZ_CONTROL_PORT", "2")]).unwrap_err();
    assert_eq!(error.field, "DBMAZZ_CONTROL_PORT");
    assert!(job(&[("GRPC_PORT", "2"), ("DBMAZZ_CONTROL_PORT", "2")]).is_ok());
}

#[test]
fn every_secret_may_come_from_a_file_instead() {
    let directory = tempfile::tempdir().unwrap();
    let written = |name: &str, value: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, value).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (url, source) = (written("url", "postgres://u@h/d\n"), written("source", "one\n"));
    let sink = written("sink", "two\n");
    let files =
        [("SOURCE_URL_FILE", &*url), ("SOURCE_PASSWORD_FILE", &*source), ("SINK_PASSWORD_FILE", &*sink)];
    let job_of_files = job(&[&files[..], &[("SOURCE_URL", "")]].concat()).unwrap();
    assert_eq!(job_of_files.source.password.reveal(), "one");
    assert_eq!(job_of_files.sink.password.reveal(), "two");
    let error = job(&[("SINK_PASSWORD", "x"), ("SINK_PASSWORD_FILE", &sink)]).unwrap_err();
    assert_eq!(error.field, "SINK_PASSWORD_FILE");
}

#[test]
fn a_job_prints_none_of_its_secrets() {
    let job = job(&[("SINK_PASSWORD", "hunter3")]).unwrap();
    let printed = format!("{job:?}");
    assert!(!printed.contains("hunter"), "{printed}");
}

proptest! {
    #[test]
    fn no_value_makes_the_reader_panic(place in 0..VARIABLES.len(), value in "\\PC*|.*") {
        let _ = job(&[(VARIABLES[place], &value)]);
    }

    #[test]
    fn no_source_url_makes_the_reader_panic(rest in ".*") {
        let _ = job(&[("SOURCE_URL", &format!("postgres://{rest}"))]);
    }

    #[test]
    fn any_password_survives_percent_encoding(password in "[^\\x00]*") {
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let job = job(&[("SOURCE_URL", &format!("postgres://u:{encoded}@h/d"))]).unwrap();
        prop_assert_eq!(job.source.password.reveal(), password);
    }
}

const VARIABLES: [&str; 14] = [
    "SOURCE_URL",
    "SOURCE_SLOT_NAME",
    "SOURCE_PUBLICATION_NAME",
    "TABLES",
    "SINK_URL",
    "SINK_PORT",
    "SINK_DATABASE",
    "SINK_USER",
    "FLUSH_SIZE",
    "FLUSH_INTERVAL_MS",
    "GRPC_PORT",
    "GRPC_HOST",
    "DO_SNAPSHOT",
    "SINK_PASSWORD",
];
