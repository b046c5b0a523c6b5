//! Third-party clients: curl, the `mysql` command, and Python drivers with the SQLAlchemy dialect of StarRocks.
//!
//! Missing clients are fetched once into a folder of the build: the `mysql` command from Debian's packages, the Python
//! packages from PyPI. Where that is impossible the test prints which program is missing and why; in CI it fails.

#[path = "clients/fetch.rs"]
mod fetch;

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::bed::Bed;

const TABLE: &str = "CREATE TABLE d.t (id BIGINT NOT NULL, name VARCHAR(20) NULL COMMENT 'who', n DECIMAL(10,2) DEFAULT '1.5', \
                     b BOOLEAN, l LARGEINT, at DATETIME, j JSON, a ARRAY<INT>, m MAP<INT,VARCHAR(5)>, \
                     s STRUCT<x INT, y VARCHAR(3)>, vb VARBINARY) PRIMARY KEY(id) COMMENT 'a table' \
                     DISTRIBUTED BY HASH(id) BUCKETS 4 ORDER BY(name) PROPERTIES('replication_num'='1')";

async fn bed() -> Bed {
    let bed = Bed::start().await;
    bed.run("CREATE DATABASE d").await;
    bed.run(TABLE).await;
    let row = r#"{"id":1,"name":"é \"x\"","n":2.5,"b":true,"l":"170141183460469231731687303715884105727","j":{"k":1}}"#;
    let answer = bed.load("", row).await;
    assert_eq!(answer.field("Status"), "Success", "{}", answer.body);
    bed
}

/// Runs a program with this input and returns its output; the program must end with success.
async fn said(command: &mut Command, input: &[u8]) -> String {
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().expect("the program was found before");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input).await.expect("the program reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("the program ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test]
async fn s01_curl_loads_through_both_hops_and_reads_the_error_log() {
    let bed = bed().await;
    let url = format!("http://127.0.0.1:{}/api/d/t/_stream_load", bed.standin.fe_port());
    let load = async |headers: &[&str], body: &[u8]| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--location-trusted", "-u", "root:", "-H", "Expect: 100-continue"]);
        headers.iter().for_each(|header| {
            curl.args(["-H", header]);
        });
        let text = said(curl.args(["-T", "-", &url]), body).await;
        serde_json::from_str::<Value>(&text).expect("the answer is JSON")
    };
    let csv = load(&["column_separator: ,", "columns: id, name"], b"2,two\n3,three\n").await;
    assert_eq!((&csv["Status"], &csv["NumberLoadedRows"]), (&json!("Success"), &json!(2)));
    let json_array = load(&["format: json", "strip_outer_array: true"], br#"[{"id":4,"name":"four"}]"#).await;
    assert_eq!(json_array["Status"], "Success");
    let bad = load(&["format: json", "strict_mode: true"], br#"{"id":5,"n":"x"}"#).await;
    assert_eq!(bad["Message"], "too many filtered rows");
    let log = said(Command::new("curl").args(["-sS", bad["ErrorURL"].as_str().expect("a log")]), b"").await;
    assert!(log.starts_with("Error: Decimal 'x' is out of range."), "{log}");
    assert_eq!(bed.lines("SELECT id FROM d.t ORDER BY id").await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn s18_the_mysql_command_shows_and_describes() {
    let Some(mysql) = fetch::mysql().await else { return };
    let bed = bed().await;
    let port = bed.standin.sql_port().to_string();
    let ask = async |statements: &str| {
        let mut command = mysql.command();
        command.args([
            "--no-defaults",
            "--protocol=tcp",
            "-h127.0.0.1",
            "-P",
            &port,
            "-uroot",
            "--batch",
            "-e",
            statements,
        ]);
        said(&mut command, b"").await
    };
    assert_eq!(ask("USE d; SHOW TABLES").await, "Tables_in_d\nt\n");
    let described = ask("DESC d.t").await;
    assert!(
        described.starts_with("Field\tType\tNull\tKey\tDefault\tExtra\nid\tbigint\tNO\ttrue\tNULL\t\n"),
        "{described}"
    );
    let selected = ask("SELECT id, name, n, b, l, at, j FROM d.t WHERE id = 1").await;
    let row = "1\té \"x\"\t2.50\t1\t170141183460469231731687303715884105727\tNULL\t{\"k\": 1}";
    assert_eq!(selected.lines().nth(1), Some(row));
    assert!(ask("status").await.contains(" 4.0.2-e26bc4a"));
    let mut command = mysql.command();
    command.args(["--no-defaults", "-h127.0.0.1", "-P", &port, "-uroot", "-e", "SELECT nope FROM d.t"]);
    let output = command.output().await.expect("runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("ERROR 1064 (42S22)"), "{output:?}");
}

#[tokio::test]
async fn s18_the_sqlalchemy_dialect_reflects_tables_and_makes_them_again() {
    let Some(python) = fetch::python().await else { return };
    let bed = bed().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/standin/clients/reflect.py");
    let text = said(Command::new(python).args([script, &bed.standin.sql_port().to_string()]), b"").await;
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
    let expected = json!({
        "schemas": ["_statistics_", "d", "information_schema", "sys"],
        "tables": ["t"],
        "views": [],
        "columns": [
            ["id", "BIGINT(20)", false, null, null],
            ["name", "VARCHAR(20)", true, null, "who"],
            ["n", "DECIMAL(10, 2)", true, "'1.5'", null],
            ["b", "BOOLEAN", true, null, null],
            ["l", "LARGEINT", true, null, null],
            ["at", "DATETIME", true, null, null],
            ["j", "JSON", true, null, null],
            ["a", "ARRAY<INTEGER(11)>", true, null, null],
            ["m", "MAP<INTEGER(11), VARCHAR(5)>", true, null, null],
            ["s", "STRUCT<x INTEGER(11), y VARCHAR(3)>", true, null, null],
            ["vb", "VARBINARY", true, null, null],
        ],
        "primary_key": ["id"],
        "comment": "a table",
        "distributed_by": "HASH(`id`) BUCKETS 4",
        "order_by": "`name`",
        "replication_num": "1",
        "rows": [[1, "é \"x\"", "2.50"]],
        "again": "same",
    });
    assert_eq!(found, expected);
}

#[tokio::test]
async fn s18_python_drivers_connect_and_read() {
    let Some(python) = fetch::python().await else { return };
    let bed = bed().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/standin/clients/drivers.py");
    let text = said(Command::new(python).args([script, &bed.standin.sql_port().to_string()]), b"").await;
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
    for driver in ["pymysql", "mysql.connector"] {
        assert_eq!(found[driver]["row"], json!([1, "é \"x\"", "2.50", 1]), "{driver}");
        assert_eq!(found[driver]["first_column"], json!([1, "id"]), "{driver}");
        assert_eq!(found[driver]["error"], 1064, "{driver}");
    }
}
