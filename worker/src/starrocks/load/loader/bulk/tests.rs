//! Bulk loads against a server with scripted answers.

use std::time::Duration;

use super::*;
use crate::{
    change::Value,
    fault::Course,
    progress::Progress,
    starrocks::{
        double::{Double, Turn, inserts, sink, table, turn::*},
        load::journal::Journal,
    },
    table::Kind,
};

/// Bytes of a request: the rows of a piece need two.
const ROOM: usize = 15_000;
const ROWS: u64 = 200;

fn piece(table: &Table) -> Piece {
    let rows: Vec<_> = (0..ROWS)
        .map(|id| vec![Value::Text(id.to_string().into_bytes().leak()), Value::Text(b"x")])
        .collect();
    Piece::Rows(inserts(table, &rows))
}

/// The server answers a call.
fn answer(json: &'static str) -> Turn {
    turn(move |peer| {
        peer.head();
        peer.answer(json);
    })
}

const OK: &str = r#"{"Status":"OK","Message":""}"#;
const COMMITTED: &str = r#"{"Status":"OK","Message":"","NumberTotalRows":200,"NumberLoadedRows":200}"#;

fn begun() -> Vec<Turn> {
    vec![redirect(), answer(OK), take(OK)]
}

fn rolled_back() -> [Turn; 2] {
    [answer(OK), state("ABORTED")]
}

struct Case {
    outcome: Result<Bulk, Fault>,
    heard: Vec<String>,
    loader: Loader,
    table: Table,
}

async fn load(turns: Vec<Turn>, pieces: impl FnOnce(&Table) -> Vec<Piece>) -> Case {
    let table = Arc::new(table(&[("id", Kind::BigInt), ("name", Kind::Text)]));
    let double = Double::start(turns);
    let progress = Arc::new(Progress::new(std::slice::from_ref(&table.name)));
    let loader = Loader::new(&sink(double.port), "job", progress, Arc::new(Journal::in_memory()));
    let loader = Loader { longest_wait: Duration::from_millis(1), ..loader };
    let (sender, received) = mpsc::channel(8);
    for piece in pieces(&table) {
        sender.send(piece).await.unwrap();
    }
    drop(sender);
    let outcome = loader.load_in_bulk(&table, ROOM, received).await;
    assert_eq!(loader.journal.labels(), [], "a transaction is left in the journal");
    Case { outcome, heard: double.heard(), loader, table: Arc::unwrap_or_clone(table) }
}

async fn load_piece(turns: Vec<Turn>) -> Case {
    load(turns, |table| vec![piece(table), Piece::End]).await
}

fn label_of(heard: &str) -> &str {
    heard.lines().find_map(|line| line.strip_prefix("label: ")).unwrap()
}

fn calls(case: &Case) -> Vec<&str> {
    case.heard
        .iter()
        .map(|heard| heard.split(" HTTP").next().unwrap().split("?label").next().unwrap())
        .collect()
}

const BEGIN: &str = "POST /api/transaction/begin";
const LOAD: &str = "PUT /api/transaction/load";
const COMMIT: &str = "POST /api/transaction/commit";
const ROLLBACK: &str = "POST /api/transaction/rollback";
const STATE: &str = "GET /api/d/get_load_state";

#[tokio::test]
async fn many_requests_are_one_version() {
    let turns = begun().into_iter().chain([take(OK), redirect(), answer(COMMITTED)]);
    let case = load_piece(turns.collect()).await;
    let Ok(Bulk::Durable(loaded)) = case.outcome else { panic!("{:?}", case.outcome) };
    assert_eq!(loaded.rows, ROWS);
    assert_eq!(calls(&case), [BEGIN, BEGIN, LOAD, LOAD, COMMIT, COMMIT]);
    assert!(case.heard.iter().all(|heard| label_of(heard) == label_of(&case.heard[0])));
    // StarRocks refuses a load whose headers are not those of the load before.
    let head = |heard: &str| {
        let lines = heard.split("\r\n\r\n").next().unwrap().lines();
        lines.filter(|line| !line.starts_with("Content-Length")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(head(&case.heard[2]), head(&case.heard[3]));
    for header in
        ["ignore_json_size: true", "strict_mode: true", "max_filter_ratio: 0", "timeout: 120", "table: t"]
    {
        assert!(head(&case.heard[2]).lines().any(|line| line == header), "{header}");
    }
    let rows = case.heard[2..4].iter().map(|heard| heard.matches("\"id\":").count()).sum::<usize>();
    assert_eq!(rows as u64, ROWS);
}

#[tokio::test]
async fn rows_of_one_request_need_no_transaction() {
    let success = r#"{"Status":"Success","Message":"OK","NumberTotalRows":200,"NumberLoadedRows":200}"#;
    let table = Arc::new(table(&[("id", Kind::BigInt), ("name", Kind::Text)]));
    let double = Double::start(vec![redirect(), take(success)]);
    let progress = Arc::new(Progress::new(std::slice::from_ref(&table.name)));
    let loader = Loader::new(&sink(double.port), "job", progress, Arc::new(Journal::in_memory()));
    let (sender, received) = mpsc::channel(8);
    sender.send(piece(&table)).await.unwrap();
    sender.send(Piece::End).await.unwrap();
    let outcome = loader.load_in_bulk(&table, 10 * ROOM, received).await;
    assert!(matches!(outcome, Ok(Bulk::Durable(Loaded { rows: ROWS, .. }))), "{outcome:?}");
    assert!(double.heard().iter().all(|heard| heard.starts_with("PUT /api/d/t/_stream_load ")));
}

#[tokio::test]
async fn rows_without_an_end_are_not_committed() {
    let turns = begun().into_iter().chain([take(OK)]).chain(rolled_back());
    let case = load(turns.collect(), |table| vec![piece(table), piece(table)]).await;
    // The second piece may wait in the encoder.
    assert_eq!(case.outcome, Ok(Bulk::GivenUp));
    assert!(!calls(&case).contains(&COMMIT), "{:?}", calls(&case));
    assert!(calls(&case).contains(&ROLLBACK));
}

#[tokio::test]
async fn a_request_that_is_not_known_to_be_whole_is_rolled_back_with_all_before_it() {
    let torn = || {
        turn(|peer| {
            peer.head();
            peer.say("HTTP/1.1 100 Continue\r\n\r\n");
            peer.body(1000);
        })
    };
    let failed = r#"{"Status":"INTERNAL_ERROR","Message":"too many versions, current/limit: 1001/1000"}"#;
    for second in [torn(), take(failed), hang_up()] {
        let turns = begun().into_iter().chain([second]).chain(rolled_back());
        let case = load_piece(turns.collect()).await;
        let fault = case.outcome.clone().unwrap_err();
        assert_eq!(fault.course, Course::Retry, "{fault:?}");
        assert_eq!(calls(&case), [BEGIN, BEGIN, LOAD, LOAD, ROLLBACK, STATE]);
        assert_eq!(label_of(&case.heard[4]), label_of(&case.heard[0]));
    }
}

#[tokio::test]
async fn rule_4_an_unknown_outcome_of_a_commit_is_asked_for() {
    let lost = || begun().into_iter().chain([take(OK), redirect(), hang_up()]);
    for durable in ["COMMITTED", "VISIBLE"] {
        let case = load_piece(lost().chain([state("PREPARE"), state(durable)]).collect()).await;
        let Ok(Bulk::Durable(loaded)) = case.outcome else { panic!("{:?}", case.outcome) };
        assert_eq!(loaded.rows, ROWS);
        assert!(case.heard[6].contains(label_of(&case.heard[0])), "{}", case.heard[6]);
    }
    for gone in ["ABORTED", "UNKNOWN"] {
        let case = load_piece(lost().chain([state(gone)]).collect()).await;
        assert_eq!(case.outcome.unwrap_err().course, Course::Retry);
    }
}

#[tokio::test]
async fn a_commit_of_fewer_rows_is_not_taken_for_all() {
    let fewer = r#"{"Status":"OK","Message":"","NumberTotalRows":200,"NumberLoadedRows":199}"#;
    let turns =
        begun().into_iter().chain([take(OK), redirect(), answer(fewer), answer(OK), state("VISIBLE")]);
    let case = load_piece(turns.collect()).await;
    assert!(case.outcome.unwrap_err().message.contains("199 of 200 rows"));
}

#[tokio::test]
async fn rule_6_rows_that_are_refused_are_loaded_singly() {
    let refused =
        r#"{"Status":"DATA_QUALITY_ERROR","Message":"too many filtered rows","NumberLoadedRows":199}"#;
    let turns = begun().into_iter().chain([take(OK), redirect(), answer(refused)]).chain(rolled_back());
    let case = load_piece(turns.collect()).await;
    assert_eq!(case.outcome, Ok(Bulk::Singly));
    assert!(case.loader.can_load_in_bulk(&case.table), "the next chunk has other rows");
}

#[tokio::test]
async fn a_starrocks_without_transactions_is_loaded_singly_from_then_on() {
    let missing = turn(|peer| {
        peer.head();
        peer.say("HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n");
    });
    let case = load_piece([missing].into_iter().chain([answer(OK), state("UNKNOWN")]).collect()).await;
    assert_eq!(case.outcome, Ok(Bulk::Singly));
    assert!(!case.loader.can_load_in_bulk(&case.table));
}
