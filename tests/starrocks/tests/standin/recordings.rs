//! Replays requests that real frontends have answered, and compares the stand-in's answers (§16).
//!
//! `tests/observed/NOT_REPLAYED.md` lists what is left out, with the reasons.

use std::time::Duration;

use mysql_async::{Conn, Error, Row, prelude::Queryable};
use serde_json::Value;
use starrocks_standin::{Action, Fault, Options, Profile, Stage};
use tokio::task::JoinSet;

use crate::bed::{Answer, Bed, ROOT, exchange, put, texts};

fn observed(file: &str) -> String {
    let path = format!("{}/tests/observed/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn sql_of_3_5() {
    replay_sql("sql-3.5.jsonl", Profile::V3_5).await;
}

#[tokio::test]
async fn sql_of_4_0() {
    replay_sql("sql-4.0.jsonl", Profile::V4_0).await;
}

#[tokio::test]
async fn sql_of_4_1() {
    replay_sql("sql-4.1.jsonl", Profile::V4_1).await;
}

async fn replay_sql(file: &str, profile: Profile) {
    let bed = Bed::of(profile).await;
    let mut connection = bed.connect().await;
    let mut differences = Vec::new();
    for (number, line) in observed(file).lines().enumerate() {
        let recorded: Value = serde_json::from_str(line).expect("a recording is JSON");
        if let Some(difference) = compare_statement(&mut connection, &recorded).await {
            differences.push(format!("line {}: {}\n    {difference}", number + 1, recorded["sql"]));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

async fn compare_statement(connection: &mut Conn, recorded: &Value) -> Option<String> {
    let statement = recorded["sql"].as_str().expect("a recording has a statement");
    let result = match connection.query_iter(statement).await {
        Err(Error::Server(error)) if recorded["ok"] == false => {
            return compare_error(&error, recorded);
        }
        Err(error) => return Some(format!("refused: {error}")),
        Ok(result) if recorded["ok"] == false => {
            drop(result);
            return Some(format!("accepted, though {}", recorded["msg"]));
        }
        Ok(result) => result,
    };
    let names: Vec<String> =
        result.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
    let rows: Vec<Row> = result.collect_and_drop().await.expect("rows arrive");
    let rows: Vec<_> = rows.into_iter().map(texts).collect();
    let expected =
        recorded["cols"].as_array().map(|names| names.iter().map(|name| name.as_str().unwrap_or_default()));
    let expected: Vec<&str> = expected.map(Iterator::collect).unwrap_or_default();
    if names != expected {
        return Some(format!("columns {names:?} instead of {expected:?}"));
    }
    compare_rows(statement, &rows, recorded)
}

fn compare_error(error: &mysql_async::ServerError, recorded: &Value) -> Option<String> {
    let wanted = recorded["errno"].as_u64().unwrap_or_default();
    (u64::from(error.code) != wanted)
        .then(|| format!("{} {} instead of {wanted} {}", error.code, error.message, recorded["msg"]))
}

fn compare_rows(statement: &str, rows: &[Vec<Option<String>>], recorded: &Value) -> Option<String> {
    let found = serde_json::to_value(rows).expect("rows are JSON");
    let mut expected = recorded.get("rows").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    let mut found = found;
    if statement.starts_with("SHOW ALTER") {
        // Ids and times differ from run to run.
        for table in [&mut found, &mut expected] {
            for row in table.as_array_mut().into_iter().flatten() {
                for place in [0, 2, 3, 5, 6, 7, 8] {
                    row[place] = Value::Null;
                }
            }
        }
    }
    (found != expected).then(|| format!("rows {found} instead of {expected}"))
}

/// One recorded exchange.
struct Exchange {
    name: String,
    sent: String,
    received: String,
    closed: bool,
}

fn exchanges(text: &str) -> Vec<Exchange> {
    let blocks = text.split("### ").skip(1);
    blocks.map(read_exchange).collect()
}

fn read_exchange(block: &str) -> Exchange {
    let (name, rest) = block.split_once('\n').expect("a name");
    let closed = rest.contains("[server closed: True]");
    let rest = rest.split("   [server closed").next().unwrap_or_default();
    let (mut sent, mut received, mut in_answer) = (String::new(), String::new(), false);
    for line in rest.lines() {
        if let Some(line) = line.strip_prefix("   > ") {
            sent.push_str(&format!("{line}\r\n"));
        } else if let Some(line) = line.strip_prefix("   < ") {
            in_answer = true;
            received.push_str(&format!("{line}\r\n"));
        } else if in_answer {
            received.push_str(&format!("{line}\n"));
        }
    }
    Exchange { name: name.to_owned(), sent: sent + "\r\n", received, closed }
}

impl Exchange {
    fn answer(&self) -> Answer {
        let (head, body) = self.received.split_once("\r\n\r\n").unwrap_or((&self.received, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer {
            status,
            head: head.to_owned(),
            body: body.replace("\r\n", "\n").trim_end().to_owned(),
            closed: self.closed,
        }
    }
}

#[tokio::test]
async fn the_first_hop_of_4_0() {
    let bed = Bed::with(Options { be_port: 0, ..Options::default() }).await;
    bed.run("CREATE DATABASE d1").await;
    let mut differences = Vec::new();
    for exchange_recorded in exchanges(&observed("hop1-4.0.txt")) {
        let expected = exchange_recorded.answer();
        let found = exchange(bed.standin.fe_port(), exchange_recorded.sent.as_bytes()).await;
        if let Some(difference) = compare_answers(&bed, &found, &expected) {
            differences.push(format!("{}: {difference}", exchange_recorded.name));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn the_transaction_interface_of_4_0() {
    let bed = Bed::with(Options { be_port: 0, ..Options::default() }).await;
    bed.run("CREATE DATABASE d1").await;
    bed.run("CREATE TABLE d1.t (id BIGINT NOT NULL) PRIMARY KEY(id) PROPERTIES('replication_num'='1')").await;
    // At the start of the recording this label was aborted, and `ok1` was forgotten.
    bed.load_into("d1/t", "label: can1", "{").await;
    let mut differences = Vec::new();
    for recorded in exchanges(&observed("transactions-4.0.txt")) {
        let found = exchange(bed.standin.fe_port(), recorded.sent.as_bytes()).await;
        let mut expected = recorded.answer();
        expected.body = with_id_of_can1(&bed, &expected.body).await;
        if let Some(difference) = compare_answers(&bed, &found, &expected) {
            differences.push(format!("{}: {difference}", recorded.name));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Transaction ids differ from the recording.
async fn with_id_of_can1(bed: &Bed, body: &str) -> String {
    let id = bed.standin.stats().recent.iter().position(|load| load.label == "can1").map_or(0, |at| at + 1);
    body.replace("ransaction 27,", &format!("ransaction {id},"))
        .replace("ransaction 27 ", &format!("ransaction {id} "))
        .replace("\"TxnId\": 27", &format!("\"TxnId\": {id}"))
}

fn compare_answers(bed: &Bed, found: &Answer, expected: &Answer) -> Option<String> {
    let here = format!(":{}/", bed.standin.be_port());
    for name in ["location", "www-authenticate", "content-type", "connection"] {
        let wanted = expected.header(name).map(|value| value.replace(":8040/", &here));
        if found.header(name) != wanted {
            return Some(format!("{name} is {:?} instead of {wanted:?}", found.header(name)));
        }
    }
    if (found.status, found.closed) != (expected.status, expected.closed) {
        return Some(format!(
            "{} {} instead of {} {}",
            found.status, found.closed, expected.status, expected.closed
        ));
    }
    // The page of a 404 answer is not compared.
    let is_page = expected.status == 404;
    (!is_page && found.body != expected.body)
        .then(|| format!("{:?} instead of {:?}", found.body, expected.body))
}

/// The BE of the recording was a dummy that could hold a load, delay its publication, or roll it back; here faults do
/// the same. The answers of its FE are in `fe_status`, `fe_msgs` and `job_status`.
#[tokio::test]
async fn labels_of_4_0() {
    let bed = Bed::start().await;
    bed.run("CREATE DATABASE d1").await;
    bed.run(
        "CREATE TABLE d1.t (id BIGINT NOT NULL, v INT) PRIMARY KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1 \
         PROPERTIES('replication_num'='1')",
    )
    .await;
    let mut recordings = exchanges(&observed("labels-4.0.txt"));
    // In the recording the held load comes after the call that cancelled it; the load has to begin first.
    let cancelled = recordings.windows(2).position(
        |pair| matches!(pair, [load, next] if is_held(load) && next.name.starts_with("cancel running")),
    );
    let cancelled = cancelled.expect("a load was cancelled");
    recordings.swap(cancelled, cancelled + 1);
    let mut held = JoinSet::new();
    let mut differences = Vec::new();
    for (place, recorded) in recordings.iter().enumerate() {
        if let Some(load) = recordings.iter().skip(place).find(|load| begins_at(load, place, &recordings)) {
            hold(&bed, load, &mut held).await;
        }
        if let Some(difference) = compare_exchange(&bed, recorded, &mut held).await {
            differences.push(format!("{}: {difference}", recorded.name));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

async fn compare_exchange(bed: &Bed, recorded: &Exchange, held: &mut JoinSet<Answer>) -> Option<String> {
    if recorded.name == "ctl publish_off=0" {
        bed.standin.advance_clock(LATE);
    }
    if recorded.sent.contains("GET /ctl?") {
        return None;
    }
    if is_held(recorded) {
        bed.standin.clear_faults();
        let found = held.join_next().await.expect("the load is under way").expect("it ends");
        return compare_load(&found, recorded);
    }
    if recorded.sent.contains("_stream_load") {
        if let Some(reason) = recorded.sent.lines().find_map(|line| line.strip_prefix("x-rollback: ")) {
            let rolled_back = Action::Fail { message: reason.trim().to_owned() };
            bed.standin.inject(Fault::once(Stage::Commit, rolled_back));
        }
        let found = put(bed.standin.be_port(), &recorded.sent, body_of(recorded)).await;
        return compare_load(&found, recorded);
    }
    let found = exchange(bed.standin.fe_port(), recorded.sent.as_bytes()).await;
    // The dummy BE had its own words for the abort of a load without a plan.
    let expected =
        recorded.answer().body.replace("plan failed: [", "").replace("target table.]", "target table.");
    (found.body != expected).then(|| format!("{:?} instead of {expected:?}", found.body))
}

const LATE: Duration = Duration::from_secs(3600);

/// Whether the load was held, so that its answer was recorded long after its begin.
fn is_held(recorded: &Exchange) -> bool {
    recorded.sent.contains("x-hold-ms") || recorded.sent.contains("x-rpc-ms")
}

fn label_of(recorded: &Exchange) -> &str {
    recorded.sent.lines().find_map(|line| line.strip_prefix("label: ")).unwrap_or_default()
}

/// Whether `load` has to be running at the exchange with this index, which is the first to name its label.
fn begins_at(load: &Exchange, place: usize, recordings: &[Exchange]) -> bool {
    let names_it = |recorded: &Exchange| recorded.sent.contains(label_of(load));
    is_held(load) && recordings.iter().position(names_it) == Some(place)
}

async fn hold(bed: &Bed, load: &Exchange, held: &mut JoinSet<Answer>) {
    let (action, state) = if load.sent.contains("x-hold-ms") {
        (Action::Hold, "PREPARE")
    } else {
        let visible_after_millis = u64::try_from(LATE.as_millis()).expect("an hour");
        (Action::PublishTimeout { visible_after_millis }, "COMMITTED")
    };
    bed.standin.inject(Fault::once(Stage::Commit, action));
    let (port, sent, body) = (bed.standin.be_port(), load.sent.clone(), body_of(load));
    held.spawn(async move { put(port, &sent, body).await });
    let question = format!("GET /api/d1/get_load_state?label={} HTTP/1.1\r\n{ROOT}\r\n\r\n", label_of(load));
    while bed.fe(&question).await.field("state") != state {
        tokio::task::yield_now().await;
    }
}

fn body_of(recorded: &Exchange) -> &'static str {
    if recorded.sent.contains("Content-Length: 15") { r#"{"id":1,"v":10}"# } else { "" }
}

fn compare_load(found: &Answer, recorded: &Exchange) -> Option<String> {
    let said =
        recorded.received.lines().find(|line| line.starts_with('{')).expect("the dummy BE answers JSON");
    let said: Value = serde_json::from_str(said).expect("the dummy BE answers JSON");
    let status = match said["fe_status"].as_str() {
        Some("OK") => "Success",
        Some("LABEL_ALREADY_EXISTS") => "Label Already Exists",
        Some("PUBLISH_TIMEOUT") => "Publish Timeout",
        _ => "Fail",
    };
    let message = said["fe_msgs"].as_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let has_message = match (message, status) {
        ("null", "Success") => found.field("Message") == "OK",
        // The FE gives no message for a roll-back.
        ("null", _) => true,
        (message, _) => found.field("Message").trim() == message.trim(),
    };
    let began = said["TxnId"] != -1;
    let matches = found.field("Status") == status
        && has_message
        && (found.field("TxnId") != "-1") == began
        && (said["job_status"].is_null()
            || found.field("ExistingJobStatus") == said["job_status"].as_str().unwrap_or_default());
    (!matches).then(|| format!("{} instead of {said}", found.body))
}
