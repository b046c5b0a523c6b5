//! Replays the answers of a real frontend 4.1 in a transaction over several tables, and to statements near it (§16).
//!
//! The recording abbreviates irrelevant parts with `…`, so answers are compared piece by piece.

use mysql_async::prelude::Queryable;
use starrocks_standin::{Options, Part, Profile, Settings};

use crate::bed::{Answer, Bed, ROOT, exchange, put};

const RECORDING: &str = include_str!("../observed/multi-4.1.txt");
const LABEL: &str = "label: L\r\ndb: d\r\ntransaction_type: multi\r\n";
const ROW: &str = r#"{"id":1,"mm":2}"#;

async fn bed() -> Bed {
    let settings = Settings { alter_millis: 0, ..Settings::default() };
    let bed = Bed::with(Options { profile: Profile::V4_1, settings, ..Options::default() }).await;
    bed.run("CREATE DATABASE d").await;
    bed.run(
        "CREATE TABLE d.a (id BIGINT NOT NULL, mm INT DEFAULT \"7\") PRIMARY KEY(id) \
         PROPERTIES('replication_num'='1')",
    )
    .await;
    bed
}

/// The recorded exchanges with the frontend, up to the first line of prose: requests and the lines of their answers.
fn exchanges() -> Vec<(String, Vec<String>)> {
    let mut exchanges: Vec<(String, Vec<String>)> = Vec::new();
    let lines = RECORDING.lines().skip_while(|line| !line.starts_with("> "));
    for line in lines.take_while(|line| !line.is_empty()) {
        match (line.strip_prefix("> "), exchanges.last_mut()) {
            (Some(sent), _) => exchanges.push((sent.to_owned(), Vec::new())),
            (None, Some((_, received))) => received.push(line.trim_start_matches(['<', ' ']).to_owned()),
            (None, None) => {}
        }
    }
    exchanges
}

fn request(sent: &str) -> String {
    let (line, headers) = sent.split_once(" | ").unwrap_or((sent, ""));
    let headers: String =
        headers.split(" | ").filter(|text| !text.is_empty()).map(|h| format!("{h}\r\n")).collect();
    format!("{line} HTTP/1.1\r\n{ROOT}\r\n{headers}\r\n")
}

fn load_head(more: &str, length: usize) -> String {
    format!(
        "PUT /api/transaction/load HTTP/1.1\r\n{ROOT}\r\n{LABEL}table: a\r\nExpect: 100-continue\r\n{more}\
         Content-Length: {length}\r\n\r\n"
    )
}

const FORMAT: &str = "format: json\r\ncolumns: id, mm\r\nstrict_mode: true\r\ntimeout: 60\r\n";

async fn ask(bed: &Bed, sent: &str) -> Answer {
    if sent.starts_with("(BE)") {
        return put(bed.standin.be_port(), &load_head(FORMAT, ROW.len()), ROW).await;
    }
    exchange(bed.standin.fe_port(), request(sent).as_bytes()).await
}

/// Asserts that the answer has every piece that the recording shows.
fn assert_answered(answer: &Answer, received: &[String], be_port: u16) {
    for piece in received.iter().flat_map(|line| line.split(" | ")) {
        let piece = piece.trim_start_matches("(BE) ");
        let has = match (piece.parse::<u16>(), piece.split_once(": ")) {
            (Ok(status), _) => answer.status == status,
            (_, Some((name, value))) if answer.header(name).is_some() => {
                answer.header(name) == Some(value.replace("//BE/", &format!("//127.0.0.1:{be_port}/")))
            }
            _ => fragments(piece).all(|fragment| answer.body.contains(&fragment)),
        };
        assert!(has, "{piece} in {answer:?}");
    }
}

fn fragments(piece: &str) -> impl Iterator<Item = String> {
    let piece = piece.replace("\\n", "\n");
    let is_whole = piece.starts_with('{');
    let parts: Vec<String> = if is_whole {
        vec![piece]
    } else {
        piece.split(['…']).flat_map(|part| part.split(", \"Message\"")).map(str::to_owned).collect()
    };
    parts.into_iter().map(|part| part.trim_matches([' ', '"', ':']).to_owned())
}

#[tokio::test]
async fn a_bare_first_hop_of_a_transaction_over_several_tables_is_planned_as_csv() {
    let bed = bed().await;
    let exchanges = exchanges();
    assert_eq!(exchanges.len(), 5);
    for (sent, received) in exchanges {
        let answer = ask(&bed, &sent).await;
        assert_answered(&answer, &received, bed.standin.be_port());
    }
}

async fn call(bed: &Bed, operation: &str) -> Answer {
    let head = format!(
        "POST /api/transaction/{operation} HTTP/1.1\r\n{ROOT}\r\n{LABEL}timeout: 60\r\nContent-Length: 0\r\n\r\n"
    );
    exchange(bed.standin.fe_port(), head.as_bytes()).await
}

async fn load(bed: &Bed, format: &str, body: &str) -> Answer {
    let hop = exchange(bed.standin.fe_port(), load_head(format, 0).as_bytes()).await;
    assert_eq!(hop.status, 307, "{}", hop.body);
    put(bed.standin.be_port(), &load_head(format, body.len()), body).await
}

#[tokio::test]
async fn with_its_headers_on_both_hops_a_load_is_planned_as_asked() {
    let bed = bed().await;
    call(&bed, "begin").await;
    assert_eq!(load(&bed, FORMAT, ROW).await.field("Status"), "OK");
    assert_eq!(call(&bed, "commit").await.field("Status"), "OK");
    assert_eq!(bed.lines("SELECT * FROM d.a").await, ["1,2"]);
}

#[tokio::test]
async fn a_label_unknown_to_this_frontend_is_told_in_this_types_own_words() {
    let bed = bed().await;
    let rollback = call(&bed, "rollback").await;
    assert!(rollback.field("Message").ends_with("StarRocksException: stream load taskLdoes not exist"));
    let commit = call(&bed, "commit").await;
    assert!(commit.field("Message").ends_with("stream load task L does not exist"), "{}", commit.body);
    let load = exchange(bed.standin.fe_port(), load_head(FORMAT, 0).as_bytes()).await;
    assert!(load.field("Message").ends_with("stream load task L does not exist"), "{}", load.body);
}

#[tokio::test]
async fn a_commit_without_rows_fails_and_says_so() {
    let bed = bed().await;
    call(&bed, "begin").await;
    assert_eq!(load(&bed, FORMAT, " ").await.field("Status"), "OK");
    let commit = call(&bed, "commit").await;
    assert_eq!(commit.field("Status"), "FAILED");
    assert!(commit.body.contains("No rows were imported from upstream. Possible causes: 1) "));
}

#[tokio::test]
async fn a_commit_after_a_broken_load_fails_with_the_tasks_error() {
    let bed = bed().await;
    call(&bed, "begin").await;
    load(&bed, FORMAT, "{").await;
    let message = call(&bed, "commit").await.field("Message");
    assert!(message.contains("STREAM_LOAD_TASK:"), "{message}");
    assert!(
        message.contains(", label{L}, error_msg{cancel stream task for exception: parse error"),
        "{message}"
    );
}

#[tokio::test]
async fn statements_near_a_schema_change_are_answered_as_4_1_answered() {
    let bed = bed().await;
    let mut connection = bed.connect().await;
    connection.query_drop("USE d").await.expect("there is d");
    let recorded = RECORDING.lines().filter(|line| line.starts_with("ALTER"));
    for line in recorded {
        let (statement, answer) = line.split_once("->").expect("a statement and what came of it");
        let outcome = connection.query_drop(statement).await;
        // Text in brackets is a remark of the person who made the recording.
        let answer = answer.split(" (").next().unwrap_or_default().trim().trim_start_matches("1064 ");
        match outcome {
            Ok(()) => assert_eq!(answer, "OK", "{statement}"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("1064"), "{statement}: {error}");
                let has = answer.split("… ").all(|part| error.contains(part));
                assert!(has, "{statement}: {error} instead of {answer}");
            }
        }
        bed.finish_alters().await;
    }
    for number in ["Infinity", "-Infinity"] {
        let (code, message) =
            bed.refused(&format!("ALTER TABLE d.a ADD COLUMN n FLOAT NULL DEFAULT \"{number}\"")).await;
        assert!(code == 1064 && message.contains(&format!("Invalid literal:{number}")), "{message}");
    }
}

#[tokio::test]
async fn a_table_cannot_be_made_without_a_backend_nor_right_after_its_start_and_both_pass() {
    let bed = bed().await;
    bed.standin.set(r#"{"settling_millis":5000}"#).expect("a setting");
    let create = "CREATE TABLE d.b (id BIGINT NOT NULL) PRIMARY KEY(id) PROPERTIES('replication_num'='1')";
    bed.standin.down(Part::Be).await;
    let (code, message) = bed.refused(create).await;
    assert!(code == 1064 && message.contains("Table replication num should be less than "), "{message}");
    bed.standin.up(Part::Be).await.expect("comes up");
    let (code, message) = bed.refused(create).await;
    assert!(code == 1064 && message.contains("TException: ") && message.contains("Connection refused"));
    bed.standin.advance_clock(std::time::Duration::from_secs(5));
    bed.run(create).await;
}
