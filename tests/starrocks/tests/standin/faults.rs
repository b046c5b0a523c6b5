//! Faults on request (S21).

use std::time::Duration;

use starrocks_standin::{Action, Fault, Part, Stage};
use tokio::net::TcpStream;

use crate::{
    bed::{Answer, Bed, ROOT, exchange},
    labels::state,
};

const ROW: &str = r#"{"id":1}"#;

async fn bed() -> Bed {
    Bed::with_table("id BIGINT NOT NULL, v INT").await
}

async fn loaded_with(bed: &Bed, stage: Stage, action: Action) -> Answer {
    bed.standin.inject(Fault::once(stage, action).on_table("d.t").on_label("a*"));
    bed.load("label: a1", ROW).await
}

async fn count(bed: &Bed) -> String {
    bed.lines("SELECT COUNT(*) FROM d.t").await.concat()
}

#[tokio::test]
async fn s21_an_answer_lost_before_the_commit_leaves_nothing() {
    for stage in [Stage::Begin, Stage::Plan, Stage::Continue, Stage::Body, Stage::Commit] {
        let bed = bed().await;
        assert_eq!(loaded_with(&bed, stage, Action::Close).await.status, 0, "{stage:?}");
        let expected = if stage == Stage::Begin { "UNKNOWN" } else { "ABORTED" };
        assert_eq!(state(&bed, "a1").await.field("state"), expected, "{stage:?}");
        assert_eq!(count(&bed).await, "0", "{stage:?}");
        assert_eq!(bed.load("label: a1", ROW).await.field("Status"), "Success", "{stage:?}");
    }
}

#[tokio::test]
async fn s21_an_answer_lost_after_the_commit_leaves_everything() {
    let bed = bed().await;
    assert_eq!(loaded_with(&bed, Stage::Answer, Action::Close).await.status, 0);
    assert_eq!(state(&bed, "a1").await.field("state"), "VISIBLE");
    assert_eq!(count(&bed).await, "1");
    assert_eq!(bed.load("label: a1", ROW).await.field("ExistingJobStatus"), "FINISHED");
}

#[tokio::test]
async fn s21_an_answer_may_be_cut_in_the_middle() {
    let bed = bed().await;
    assert_eq!(loaded_with(&bed, Stage::Answer, Action::CutAnswer).await.status, 0);
    assert_eq!(count(&bed).await, "1");
}

#[tokio::test]
async fn s21_publish_timeout_is_committed_and_shows_later() {
    let bed = bed().await;
    let late = Action::PublishTimeout { visible_after_millis: 3_600_000 };
    let answer = loaded_with(&bed, Stage::Commit, late).await;
    assert_eq!(answer.field("Status"), "Publish Timeout");
    assert_eq!(state(&bed, "a1").await.field("state"), "COMMITTED");
    assert_eq!(count(&bed).await, "0");
    bed.standin.advance_clock(Duration::from_secs(3600));
    assert_eq!(count(&bed).await, "1");
    assert_eq!(state(&bed, "a1").await.field("state"), "VISIBLE");
}

#[tokio::test]
async fn s21_a_late_load_delays_those_after_it() {
    let bed = bed().await;
    let late = Action::PublishTimeout { visible_after_millis: 3_600_000 };
    loaded_with(&bed, Stage::Commit, late).await;
    let row = bed.rows("SELECT * FROM d.t").await;
    assert!(row.is_empty());
    let answer = bed.load("label: after", r#"{"id":1,"v":2}"#).await;
    assert_eq!(answer.field("Status"), "Publish Timeout", "{}", answer.body);
    bed.standin.advance_clock(Duration::from_secs(3600));
    assert_eq!(bed.lines("SELECT v FROM d.t").await, ["2"], "§9.3: the last commit wins");
}

#[tokio::test]
async fn s21_capacity_faults_say_what_starrocks_says() {
    let bed = bed().await;
    let answer = loaded_with(&bed, Stage::Begin, Action::RunningTransactionLimit).await;
    assert!(answer.field("Message").contains("current running txns on db"), "{}", answer.body);
    let answer = loaded_with(&bed, Stage::Commit, Action::TooManyVersions).await;
    assert!(answer.field("Message").contains("because of too many versions, current/limit: "));
    let answer = loaded_with(&bed, Stage::Commit, Action::RefuseRow { reason: "no".into() }).await;
    assert_eq!(answer.field("Message"), "too many filtered rows");
    assert!(answer.field("ErrorURL").starts_with("http://"));
    assert_eq!(count(&bed).await, "0");
}

#[tokio::test]
async fn s21_a_delay_only_delays() {
    let bed = bed().await;
    for stage in [
        Stage::Redirect,
        Stage::Begin,
        Stage::Plan,
        Stage::Continue,
        Stage::Body,
        Stage::Commit,
        Stage::Answer,
    ] {
        bed.standin.inject(Fault::once(stage, Action::Delay { millis: 1 }));
    }
    assert_eq!(bed.load("", ROW).await.field("Status"), "Success");
    assert!(bed.standin.faults().is_empty());
}

#[tokio::test]
async fn s21_the_frontend_may_fail_too() {
    let bed = bed().await;
    let request = format!(
        "PUT /api/d/t/_stream_load HTTP/1.1\r\n{ROOT}\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"
    );
    bed.standin.inject(Fault::once(Stage::Redirect, Action::ServerError));
    assert_eq!(bed.fe(&request).await.status, 500);
    bed.standin.inject(Fault::once(Stage::Redirect, Action::NoBackend));
    assert!(bed.fe(&request).await.field("Message").contains("No backend alive."));
    bed.standin.inject(Fault::once(Stage::Redirect, Action::Close));
    assert_eq!(bed.fe(&request).await.status, 0);
    assert_eq!(bed.fe(&request).await.status, 307);
}

#[tokio::test]
async fn s21_a_dead_backend_is_still_redirected_to() {
    let bed = bed().await;
    bed.load("", ROW).await;
    bed.standin.down(Part::Be).await;
    let request = format!(
        "PUT /api/d/t/_stream_load HTTP/1.1\r\n{ROOT}\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(bed.fe(&request).await.status, 307);
    assert!(TcpStream::connect(("127.0.0.1", bed.standin.be_port())).await.is_err());
    bed.standin.up(Part::Be).await.expect("comes up");
    assert_eq!(count(&bed).await, "1");
}

#[tokio::test]
async fn s21_the_whole_server_goes_down_and_comes_up_with_its_data() {
    let bed = bed().await;
    bed.load("label: kept", ROW).await;
    for part in Part::ALL {
        bed.standin.down(part).await;
    }
    for port in [bed.standin.fe_port(), bed.standin.be_port(), bed.standin.sql_port()] {
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    }
    for part in Part::ALL {
        bed.standin.up(part).await.expect("comes up");
    }
    assert_eq!(count(&bed).await, "1");
    assert_eq!(state(&bed, "kept").await.field("state"), "VISIBLE");
}

#[tokio::test]
async fn the_admin_port_does_the_same_from_outside() {
    let bed = bed().await;
    let post = async |method: &str, path: &str, body: &str| {
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
        exchange(bed.standin.admin_port(), request.as_bytes()).await
    };
    assert_eq!(post("GET", "/health", "").await.status, 200);
    let fault = r#"{"table":"d.*","count":1,"stage":"answer","action":"close"}"#;
    assert_eq!(post("POST", "/faults", fault).await.status, 200);
    assert_eq!(post("GET", "/faults", "").await.json().as_array().map(Vec::len), Some(1));
    assert_eq!(bed.load("label: x", ROW).await.status, 0);
    assert_eq!(post("POST", "/faults", "{}").await.status, 400);
    assert_eq!(post("DELETE", "/faults", "").await.status, 200);
    let stats = post("GET", "/stats", "").await.json();
    assert_eq!(stats["loads"]["Success"], 1);
    assert_eq!(stats["tables"]["d.t"]["rows"], 1);
    assert_eq!(stats["tables"]["d.t"]["max_rows_per_load"], 1);
    assert_eq!(stats["labels"]["d"]["VISIBLE"], 1);
    assert_eq!(post("POST", "/clock", r#"{"advance_seconds":345600}"#).await.status, 200);
    assert_eq!(state(&bed, "x").await.field("state"), "UNKNOWN");
    assert_eq!(post("POST", "/down", r#"{"be":true}"#).await.status, 200);
    assert!(TcpStream::connect(("127.0.0.1", bed.standin.be_port())).await.is_err());
    assert_eq!(post("POST", "/up", "").await.status, 200);
    assert_eq!(bed.load("label: y", ROW).await.field("Status"), "Success");
}

#[tokio::test]
async fn s21_a_load_nobody_was_told_of_may_commit_later() {
    let bed = bed().await;
    let answer = loaded_with(&bed, Stage::Commit, Action::CommitLater { millis: 60_000 }).await;
    assert_eq!(answer.status, 0);
    assert_eq!(state(&bed, "a1").await.field("state"), "PREPARE");
    let again = bed.load("label: a1", ROW).await;
    assert_eq!(again.field("ExistingJobStatus"), "RUNNING");
    assert_eq!(count(&bed).await, "0");
    bed.load("label: newer", r#"{"id":1,"v":2}"#).await;
    bed.standin.advance_clock(Duration::from_secs(60));
    assert_eq!(state(&bed, "a1").await.field("state"), "VISIBLE");
    assert_eq!(bed.lines("SELECT v FROM d.t").await, ["NULL"], "§6.4: the late one overwrites the newer");
}

#[tokio::test]
async fn s21_a_load_nobody_was_told_of_may_abort_later() {
    let bed = bed().await;
    loaded_with(&bed, Stage::Commit, Action::AbortLater { millis: 60_000 }).await;
    assert_eq!(state(&bed, "a1").await.field("state"), "PREPARE");
    bed.standin.advance_clock(Duration::from_secs(60));
    assert_eq!(state(&bed, "a1").await.field("state"), "ABORTED");
    assert_eq!(count(&bed).await, "0");
    assert_eq!(bed.load("label: a1", ROW).await.field("Status"), "Success");
}

#[tokio::test]
async fn s21_a_load_that_would_commit_after_its_timeout_does_not() {
    let bed = bed().await;
    bed.standin.inject(Fault::once(Stage::Commit, Action::CommitLater { millis: 60_000 }));
    bed.load("label: a1\ntimeout: 30", ROW).await;
    bed.standin.advance_clock(Duration::from_secs(90));
    assert_eq!(state(&bed, "a1").await.field("state"), "ABORTED");
    assert_eq!(count(&bed).await, "0");
}

#[tokio::test]
async fn s21_an_answer_of_fail_may_hide_a_commit() {
    let bed = bed().await;
    let answer = loaded_with(&bed, Stage::Answer, Action::Fail { message: "timeout".into() }).await;
    assert_eq!(answer.field("Status"), "Fail");
    assert_eq!(state(&bed, "a1").await.field("state"), "VISIBLE");
    assert_eq!(count(&bed).await, "1");
}

#[tokio::test]
async fn s21_a_label_may_be_said_to_be_running() {
    let bed = bed().await;
    let answer = loaded_with(&bed, Stage::Begin, Action::LabelRunning).await;
    assert_eq!(answer.field("ExistingJobStatus"), "RUNNING");
    assert_eq!(state(&bed, "a1").await.field("state"), "UNKNOWN");
}

#[tokio::test]
async fn s21_a_restarted_frontend_has_forgotten_running_loads_and_they_cannot_commit() {
    let bed = bed().await;
    bed.load("label: kept", ROW).await;
    bed.standin.inject(Fault::once(Stage::Commit, Action::CommitLater { millis: 1000 }));
    bed.load("label: lost", ROW).await;
    bed.standin.down(Part::Fe).await;
    bed.standin.up(Part::Fe).await.expect("comes up");
    bed.standin.advance_clock(Duration::from_secs(60));
    assert_eq!(state(&bed, "kept").await.field("state"), "VISIBLE");
    assert_eq!(state(&bed, "lost").await.field("state"), "UNKNOWN");
    assert_eq!(bed.lines("SELECT v FROM d.t").await, ["NULL"]);
    assert_eq!(bed.load("label: lost", ROW).await.field("Status"), "Success");
}

#[tokio::test]
async fn s21_the_question_for_a_label_may_fail_too() {
    let bed = bed().await;
    bed.standin.inject(Fault::once(Stage::State, Action::ServerError).on_table("d.*"));
    assert_eq!(state(&bed, "x").await.status, 500);
    bed.standin.inject(Fault::once(Stage::State, Action::Close));
    assert_eq!(state(&bed, "x").await.status, 0);
    assert_eq!(state(&bed, "x").await.field("state"), "UNKNOWN");
}

#[tokio::test]
async fn s21_a_thousand_open_loads_of_a_database_are_the_limit() {
    let bed = bed().await;
    bed.standin.inject(Fault {
        count: Some(1000),
        ..Fault::once(Stage::Commit, Action::AbortLater { millis: 60_000 })
    });
    for _ in 0..1000 {
        assert_eq!(bed.load("", ROW).await.status, 0);
    }
    let answer = bed.load("", ROW).await;
    assert!(answer.field("Message").ends_with("is 1000, larger than limit 1000"), "{}", answer.body);
    bed.standin.advance_clock(Duration::from_secs(60));
    assert_eq!(bed.load("", ROW).await.field("Status"), "Success");
}
