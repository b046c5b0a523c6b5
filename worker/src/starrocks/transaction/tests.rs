//! Steps against a server with scripted answers.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::*;
use crate::{
    change::Value,
    config::SinkConfig,
    fault::Course,
    lsn::Lsn,
    mysql::double as sql,
    progress::Progress,
    slot_lease::{Moment, SlotLease},
    starrocks::{
        double::{Double, Turn, inserts, sink, table, turn::*},
        load::journal::Journal,
    },
    table::Kind,
};

const OK: &str = r#"{"Status": "OK", "Message": ""}"#;
const NOT_FOUND: &str =
    r#"{"Status": "FAILED", "Message": "class X: No transaction found with db[d] and label[l]"}"#;
const UNKNOWN: &str = r#"{"Status": "FAILED", "Message": "class X: stream load task<l>does not exist"}"#;
const NO: &str = r#"{"Status": "FAILED", "Message": "the moon is full"}"#;
const REACHED: Lsn = Lsn(0x22);

fn transaction_loader(sink: &SinkConfig) -> TransactionLoader {
    let (progress, journal) = (Arc::new(Progress::new(&[])), Arc::new(Journal::in_memory()));
    let mut loader = Loader::new(sink, "job", progress, journal);
    loader.longest_wait = Duration::from_millis(1);
    TransactionLoader::new(loader, Checkpoint::new("1-s".to_owned(), "job"))
}

fn part(reached: Option<Lsn>) -> Part {
    part_with("1", reached)
}

fn part_with(key: &str, reached: Option<Lsn>) -> Part {
    let table = table(&[("id", Kind::BigInt)]);
    Part { batches: vec![inserts(&table, &[vec![Value::Text(key.as_bytes())]])], reached }
}

/// Loads a part, with a time limit for the case that a rule is broken.
async fn load(transaction_loader: &TransactionLoader, reached: Option<Lsn>) -> Result<Vec<Loaded>, Fault> {
    let part = part(reached);
    timeout(Duration::from_secs(20), transaction_loader.load(&part))
        .await
        .expect("the server's turns are enough to end the load")
}

/// An answer of the frontend.
fn says(json: &'static str) -> Turn {
    turn(move |peer| {
        peer.head();
        peer.answer(json);
    })
}

/// All turns before the commit.
fn loaded() -> Vec<Turn> {
    vec![says(OK), redirect(), take(OK), redirect(), take(OK)]
}

fn then(mut turns: Vec<Turn>, more: impl IntoIterator<Item = Turn>) -> Vec<Turn> {
    turns.extend(more);
    turns
}

/// Path and label of a request.
fn request(heard: &str) -> (&str, &str) {
    let path = heard.split(' ').nth(1).unwrap();
    let label = heard.lines().find_map(|line| line.strip_prefix("label: "));
    let asked = path.split_once("label=").map(|(_, label)| label);
    (path.split('?').next().unwrap(), label.or(asked).unwrap())
}

fn labels(heard: &[String]) -> Vec<&str> {
    let mut labels: Vec<_> = heard.iter().map(|heard| request(heard).1).collect();
    labels.dedup();
    labels
}

#[tokio::test]
async fn rule_9_rows_and_checkpoint_are_in_one_transaction_before_its_commit() {
    let double = Double::start(then(loaded(), [says(OK), state("VISIBLE")]));
    let transaction_loader = transaction_loader(&sink(double.port));
    load(&transaction_loader, Some(REACHED)).await.unwrap();
    let heard = double.heard();
    let [begin, _, rows, _, checkpoint, commit, _] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(labels(&heard).len(), 1, "{heard:?}");
    assert_eq!(request(begin).0, "/api/transaction/begin");
    assert!(rows.contains("table: t\r\n") && rows.contains("transaction_type: multi\r\n"), "{rows}");
    assert!(checkpoint.contains("table: dbmazz_checkpoints\r\n"), "{checkpoint}");
    assert!(checkpoint.contains("0/22"), "{checkpoint}");
    assert_eq!(request(commit).0, "/api/transaction/commit");
}

/// A frontend that names a backend and keeps the connection, as for a load within a transaction.
fn redirect_and_stay() -> Turn {
    turn(|peer| {
        peer.head();
        let location = format!("http://127.0.0.1:{}/api/transaction/load", peer.port);
        peer.say(&format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"));
        peer.until_closed();
    })
}

/// The headers of a request except those that differ from hop to hop.
fn common(heard: &str) -> Vec<&str> {
    let of_a_hop = |line: &&str| !line.starts_with("Host: ") && !line.starts_with("Content-Length: ");
    heard.split("\r\n\r\n").next().unwrap().lines().filter(of_a_hop).collect()
}

#[tokio::test]
async fn rule_9_both_hops_of_a_load_within_a_step_carry_all_its_headers() {
    let turns = vec![says(OK), redirect_and_stay(), take(OK), redirect_and_stay(), take(OK)];
    let double = Double::start(then(turns, [says(OK), state("VISIBLE")]));
    load(&transaction_loader(&sink(double.port)), Some(REACHED)).await.unwrap();
    let heard = double.heard();
    let [_, first, second, ..] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(common(first), common(second));
    for header in
        ["format: json", "columns: `id`,", "strict_mode: true", "max_filter_ratio: 0", "timeout: 120"]
    {
        assert!(first.contains(&format!("\r\n{header}")), "{header}: {first}");
    }
    assert!(first.ends_with("Content-Length: 0\r\n\r\n"), "{first}");
}

#[tokio::test]
async fn rule_9_a_step_that_a_frontend_forgot_is_begun_anew() {
    // The load and the rollback fail because the frontend restarted during the step.
    let forgot = [says(OK), says(UNKNOWN), state("UNKNOWN"), says(UNKNOWN)];
    let again = then(loaded(), [says(OK), state("VISIBLE")]);
    let (listener, SinkConfig { query_port, .. }) = sql::server().await;
    let double = Double::start(then(forgot.into_iter().collect(), again));
    let transaction_loader = transaction_loader(&SinkConfig { query_port, ..sink(double.port) });
    let row = sql::row("0/21");
    let rows = [&row[..]];
    let (loaded, _client) =
        tokio::join!(load(&transaction_loader, Some(REACHED)), sql::talk(listener, &rows));
    loaded.unwrap();
    assert_eq!(labels(&double.heard()).len(), 2);
}

#[tokio::test]
async fn rule_9_a_commit_that_refuses_rows_halts_with_its_words() {
    let refusal = r#"{"Status": "FAILED", "Message": "class X: STREAM_LOAD_TASK:7, label{l}, error_msg{abnormal data more than max filter rate}"}"#;
    let double = Double::start(then(loaded(), [says(refusal), state("UNKNOWN"), state("UNKNOWN"), says(OK)]));
    let fault = load(&transaction_loader(&sink(double.port)), Some(REACHED)).await.unwrap_err();
    assert_eq!((fault.reason, fault.course), (crds::Reason::RowsRefused, Course::Halt));
    assert!(fault.message.contains("public.t"), "{}", fault.message);
    double.heard();
}

#[tokio::test]
async fn rule_9_a_commit_counts_when_its_label_says_so_and_comes_again_under_another() {
    let false_ok = then(loaded(), [says(OK), state("UNKNOWN"), state("UNKNOWN"), says(OK)]);
    let again = then(loaded(), [says(OK), state("VISIBLE")]);
    let double = Double::start(then(false_ok, again));
    let transaction_loader = transaction_loader(&sink(double.port));
    load(&transaction_loader, Some(REACHED)).await.unwrap();
    let heard = double.heard();
    assert_eq!(request(&heard[8]).0, "/api/transaction/rollback");
    let labels = labels(&heard);
    assert!(labels.len() == 2 && labels[0] != labels[1], "{labels:?}");
}

#[tokio::test]
async fn rule_9_a_commit_without_an_answer_is_brought_to_its_end_before_anything_comes_again() {
    // The first request for the label's state is not answered either.
    let double = Double::start(then(loaded(), [hang_up(), hang_up(), state("COMMITTED"), state("VISIBLE")]));
    let transaction_loader = transaction_loader(&sink(double.port));
    load(&transaction_loader, Some(REACHED)).await.unwrap();
    assert_eq!(labels(&double.heard()).len(), 1);
    assert!(transaction_loader.loader.journal.labels().is_empty());
}

#[tokio::test]
async fn rule_9_where_nobody_knows_a_step_its_checkpoint_tells() {
    let lost = || then(loaded(), [hang_up(), state("UNKNOWN"), state("UNKNOWN"), says(NOT_FOUND)]);
    let again = || then(loaded(), [says(OK), state("VISIBLE")]);
    for (known, turns, attempts) in [("0/22", lost(), 1), ("0/21", then(lost(), again()), 2)] {
        let (listener, SinkConfig { query_port, .. }) = sql::server().await;
        let double = Double::start(turns);
        let transaction_loader = transaction_loader(&SinkConfig { query_port, ..sink(double.port) });
        let row = sql::row(known);
        let rows = [&row[..]];
        let (loaded, _client) =
            tokio::join!(load(&transaction_loader, Some(REACHED)), sql::talk(listener, &rows));
        loaded.unwrap();
        assert_eq!(labels(&double.heard()).len(), attempts, "{known}");
    }
}

#[tokio::test]
async fn rule_9_a_later_part_that_fails_takes_the_earlier_ones_with_it() {
    let first = vec![says(OK), redirect(), take(OK)];
    let double = Double::start(then(first, [redirect(), take(NO), state("UNKNOWN"), says(OK)]));
    let transaction_loader = transaction_loader(&sink(double.port));
    load(&transaction_loader, None).await.unwrap();
    let fault = transaction_loader.load(&part_with("2", Some(REACHED))).await.unwrap_err();
    assert_eq!(fault.course, Course::Retry);
    let heard = double.heard();
    assert_eq!(labels(&heard).len(), 1, "{heard:?}");
    assert_eq!(request(heard.last().unwrap()).0, "/api/transaction/rollback");
    assert!(transaction_loader.loader.journal.labels().is_empty());
}

#[tokio::test]
async fn rule_9_a_key_that_went_ahead_and_comes_again_rolls_the_step_back_and_halts() {
    let double = Double::start(vec![says(OK), redirect(), take(OK), state("UNKNOWN"), says(OK)]);
    let transaction_loader = transaction_loader(&sink(double.port));
    load(&transaction_loader, None).await.unwrap();
    let fault = load(&transaction_loader, Some(REACHED)).await.unwrap_err();
    assert_eq!((fault.reason, fault.course), (crds::Reason::BadConfiguration, Course::Halt));
    let heard = double.heard();
    assert_eq!(request(heard.last().unwrap()).0, "/api/transaction/rollback");
    assert!(transaction_loader.loader.journal.labels().is_empty());
}

#[tokio::test]
async fn rule_9_a_step_that_is_given_up_is_rolled_back() {
    let double = Double::start(vec![says(OK), redirect(), take(OK), state("UNKNOWN"), says(OK)]);
    let transaction_loader = transaction_loader(&sink(double.port));
    load(&transaction_loader, None).await.unwrap();
    assert_eq!(transaction_loader.loader.journal.labels().len(), 1, "a successor would find it");
    transaction_loader.abandon().await;
    let heard = double.heard();
    assert_eq!(request(heard.last().unwrap()).0, "/api/transaction/rollback");
    assert!(transaction_loader.loader.journal.labels().is_empty());
}

#[tokio::test]
async fn rule_10_a_step_is_noted_before_it_begins_and_until_it_has_ended() {
    let journal = Arc::new(Journal::in_memory());
    let (notes, (tell, told)) = (Arc::clone(&journal), std::sync::mpsc::sync_channel(1));
    let begin = turn(move |peer| {
        peer.head();
        tell.send(notes.labels()).unwrap();
        peer.answer(OK);
    });
    let rest = loaded().into_iter().skip(1);
    let double = Double::start(then(then(vec![begin], rest), [says(OK), state("VISIBLE")]));
    let mut transaction_loader = transaction_loader(&sink(double.port));
    transaction_loader.loader.journal = Arc::clone(&journal);
    load(&transaction_loader, Some(REACHED)).await.unwrap();
    let noted: Vec<_> = told.recv().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(noted, [request(&double.heard()[0]).1]);
    assert!(journal.labels().is_empty());
}

#[tokio::test]
async fn rule_10_who_lost_the_slot_commits_no_step() {
    let (lease, permit) = SlotLease::new();
    let lease = Arc::new(lease);
    let losing = Arc::clone(&lease);
    let lose = turn(move |peer| {
        let length = peer.head();
        peer.say("HTTP/1.1 100 Continue\r\n\r\n");
        peer.body(length);
        losing.end();
        peer.answer(OK);
    });
    let turns = vec![says(OK), redirect(), take(OK), redirect(), lose, says(OK), state("VISIBLE")];
    let double = Double::start(turns);
    let TransactionLoader { loader, checkpoint, .. } = transaction_loader(&sink(double.port));
    let transaction_loader = TransactionLoader::new(loader.with_permit(permit), checkpoint);
    lease.renew(Moment::now());
    // A task that waits for the lease holds a second copy of the permit.
    let waits = async {
        while lease.holders() < 2 || !lease.has_ended() {
            tokio::task::yield_now().await;
        }
    };
    let mut step = std::pin::pin!(load(&transaction_loader, Some(REACHED)));
    tokio::select! {
        biased;
        loaded = &mut step => panic!("{loaded:?}"),
        () = waits => {}
    }
    lease.renew(Moment::now());
    step.await.unwrap();
    double.heard();
}
