//! Labels over HTTP: states, repetition, cancelling, and the end of their retention.

use std::time::Duration;

use starrocks_standin::{Action, Fault, Profile, Stage};

use crate::bed::{Answer, Bed, ROOT};

pub(crate) async fn state(bed: &Bed, label: &str) -> Answer {
    bed.fe(&format!("GET /api/d/get_load_state?label={label} HTTP/1.1\r\n{ROOT}\r\n\r\n")).await
}

/// Polls until the label is in this state. The running load decides when that is, so there is no fixed wait.
pub(crate) async fn wait_for_state(bed: &Bed, label: &str, wanted: &str) {
    while state(bed, label).await.field("state") != wanted {
        tokio::task::yield_now().await;
    }
}

async fn cancel(bed: &Bed, label: &str) -> Answer {
    bed.fe(&format!("POST /api/d/t/_cancel?label={label} HTTP/1.1\r\n{ROOT}\r\nContent-Length: 0\r\n\r\n"))
        .await
}

async fn bed() -> Bed {
    Bed::with_table("id BIGINT NOT NULL, v INT").await
}

#[tokio::test]
async fn s12_a_finished_label_is_not_taken_again() {
    let bed = bed().await;
    assert_eq!(bed.load("label: a", r#"{"id":1,"v":1}"#).await.field("Status"), "Success");
    let again = bed.load("label: a", r#"{"id":1,"v":2}"#).await;
    assert_eq!(
        (again.field("Status"), again.field("ExistingJobStatus")),
        ("Label Already Exists".into(), "FINISHED".into())
    );
    assert_eq!(again.field("Message"), "Label [a] has already been used.");
    assert_eq!(again.field("TxnId"), "-1");
    assert_eq!(bed.lines("SELECT v FROM d.t").await, ["1"]);
}

#[tokio::test]
async fn s12_an_aborted_label_is_free_again() {
    let bed = bed().await;
    assert_eq!(bed.load("label: a", r#"{"id":null}"#).await.field("Status"), "Fail");
    assert_eq!(state(&bed, "a").await.field("state"), "ABORTED");
    assert_eq!(bed.load("label: a", r#"{"id":1}"#).await.field("Status"), "Success");
    assert_eq!(state(&bed, "a").await.field("state"), "VISIBLE");
}

#[tokio::test]
async fn s12_a_label_is_prepare_while_its_load_runs_and_can_be_cancelled() {
    let bed = bed().await;
    bed.standin.inject(Fault::once(Stage::Commit, Action::Hold));
    let run = bed.load("label: a", r#"{"id":1}"#);
    let meanwhile = async {
        wait_for_state(&bed, "a", "PREPARE").await;
        let second = bed.load("label: a", r#"{"id":1}"#).await;
        assert_eq!(second.field("ExistingJobStatus"), "RUNNING");
        assert_eq!(cancel(&bed, "a").await.field("status"), "OK");
        bed.standin.clear_faults();
    };
    let (answer, ()) = tokio::join!(run, meanwhile);
    assert_eq!(answer.field("Message"), "fail to execute commit task: user cancel");
    let state = state(&bed, "a").await;
    assert_eq!((state.field("state"), state.field("reason")), ("ABORTED".into(), "user cancel".into()));
}

#[tokio::test]
async fn s13_states_have_a_reason_from_3_4_on() {
    for (profile, has_reason) in [(Profile::V3_3, false), (Profile::V3_4, true)] {
        let bed = Bed::of(profile).await;
        bed.create("id BIGINT NOT NULL").await;
        bed.load("label: a", r#"{"id":1}"#).await;
        assert_eq!(state(&bed, "a").await.body.contains("\"reason\":\"\""), has_reason, "{profile}");
        let unknown = r#"{"state":"UNKNOWN","status":"OK","code":"0","msg":"Success","message":"OK"}"#;
        assert_eq!(state(&bed, "b").await.body, unknown);
    }
}

#[tokio::test]
async fn s12_labels_are_forgotten_when_the_clock_says_so() {
    let bed = bed().await;
    bed.load("label: a", r#"{"id":1}"#).await;
    bed.standin.advance_clock(Duration::from_secs(2 * 24 * 3600));
    assert_eq!(state(&bed, "a").await.field("state"), "VISIBLE");
    bed.standin.advance_clock(Duration::from_secs(2 * 24 * 3600));
    assert_eq!(state(&bed, "a").await.field("state"), "UNKNOWN");
    assert_eq!(bed.load("label: a", r#"{"id":1}"#).await.field("Status"), "Success");
}
