//! The transaction interface over several tables (S23, S25).

use std::time::Duration;

use starrocks_standin::{Action, Fault, Mode, Options, Part, Profile, Stage};

use crate::{
    bed::Bed,
    labels::state,
    transactions::{Client, bed, bed_of, count},
};

const MULTI: &str = "transaction_type: multi\r\n";

#[tokio::test]
async fn s23_several_tables_change_in_one_step() {
    for profile in [Profile::V4_0, Profile::V4_0_7, Profile::V4_1] {
        let bed = bed_of(profile).await;
        let client = Client::new(&bed, "a", MULTI);
        let begun = client.call("begin", "timeout: 60\r\n").await;
        assert_eq!(
            (begun.field("Status"), begun.field("Message")),
            ("OK".into(), String::new()),
            "{profile}"
        );
        for table in ["t", "u", "t"] {
            assert_eq!(client.load(table, "", r#"{"id":1,"v":1}"#).await.field("Status"), "OK", "{profile}");
        }
        assert_eq!(
            state(&bed, "a").await.field("state"),
            "UNKNOWN",
            "{profile}: nobody knows it before it commits"
        );
        assert_eq!(count(&bed).await, "0");
        assert_eq!(client.status("commit", "").await, "OK", "{profile}");
        assert_eq!(state(&bed, "a").await.field("state"), "VISIBLE", "{profile}");
        assert_eq!(bed.lines("SELECT COUNT(*) FROM d.u").await, [count(&bed).await], "{profile}");
        assert_eq!(client.status("commit", "").await, "OK", "{profile}: it has already committed");
        assert!(client.call("rollback", "").await.field("Message").contains("Can not abort"), "{profile}");
    }
}

#[tokio::test]
async fn s25_loads_of_one_transaction_share_a_rowset() {
    for (mode, expected) in [(Mode::Nothing, "1"), (Mode::Data, "0")] {
        let bed = Bed::with(Options { mode, ..Options::default() }).await;
        bed.create("id BIGINT NOT NULL, v INT").await;
        let client = Client::new(&bed, "a", MULTI);
        client.call("begin", "").await;
        for row in [r#"{"id":1,"__op":1}"#, r#"{"id":1,"v":1,"__op":0}"#] {
            client.load("t", "columns: id, v, __op\r\n", row).await;
        }
        assert_eq!(client.status("commit", "").await, "OK");
        assert_eq!(count(&bed).await, expected, "{mode}: the delete of another load comes last");
    }
}

#[tokio::test]
async fn s23_the_first_load_of_a_table_is_the_plan_for_all_of_them() {
    let bed = bed_of(Profile::V4_0_7).await;
    bed.load("label: before", r#"{"id":1,"v":7}"#).await;
    let client = Client::new(&bed, "a", MULTI);
    client.call("begin", "timeout: 60\r\n").await;
    client.load("t", "columns: id, v\r\n", r#"{"id":2,"v":2}"#).await;
    let partial = client.load("t", "columns: id\r\npartial_update: true\r\n", r#"{"id":1}"#).await;
    assert_eq!(partial.field("Status"), "OK", "nobody complains");
    assert_eq!(client.status("commit", "").await, "OK");
    assert_eq!(
        bed.lines("SELECT id, v FROM d.t ORDER BY id").await,
        ["1,NULL", "2,2"],
        "the old value is gone"
    );
}

#[tokio::test]
async fn s23_older_versions_do_not_know_it() {
    let bed = bed_of(Profile::V3_5).await;
    let client = Client::new(&bed, "a", MULTI);
    assert_eq!(client.status("begin", "table: t\r\n").await, "OK");
    assert_eq!(state(&bed, "a").await.field("state"), "PREPARE", "a transaction over one table");
}

#[tokio::test]
async fn s23_a_commit_that_fails_says_ok_and_the_label_knows_better() {
    for profile in [Profile::V4_0, Profile::V4_0_7, Profile::V4_1] {
        let bed = bed_of(profile).await;
        let bad = Client::new(&bed, "bad", MULTI);
        bad.call("begin", "").await;
        bad.load("t", "strict_mode: true\r\n", r#"{"id":1,"v":"x"}"#).await;
        assert_eq!(bad.status("commit", "").await, "OK", "{profile}");
        let known = state(&bed, "bad").await;
        assert_eq!(known.field("state"), "ABORTED", "{profile}");
        assert_eq!(known.field("reason"), "abnormal data more than max filter rate", "{profile}");

        bed.standin.inject(Fault::once(Stage::Commit, Action::FalseOk));
        let denied = Client::new(&bed, "denied", MULTI);
        denied.call("begin", "").await;
        denied.load("t", "", r#"{"id":1}"#).await;
        assert_eq!(denied.status("commit", "").await, "OK", "{profile}");
        assert_eq!(state(&bed, "denied").await.field("state"), "ABORTED", "{profile}");
        assert_eq!(count(&bed).await, "0", "{profile}");
    }
}

#[tokio::test]
async fn s23_labels_are_minded_at_begin_from_4_0_7() {
    for profile in [Profile::V4_0, Profile::V4_0_7, Profile::V4_1] {
        let bed = bed_of(profile).await;
        bed.load("label: used", r#"{"id":7}"#).await;
        let open = Client::new(&bed, "open", MULTI);
        open.call("begin", "").await;
        let again = open.call("begin", "").await;
        let used = Client::new(&bed, "used", MULTI);
        let begun = used.call("begin", "").await;
        if profile == Profile::V4_0 {
            assert_eq!((again.field("Status"), begun.field("Status")), ("OK".into(), "OK".into()));
            used.load("t", "", r#"{"id":1}"#).await;
            assert_eq!(used.status("commit", "").await, "OK", "the commit fails, and says OK");
            assert_eq!(count(&bed).await, "1");
            continue;
        }
        assert_eq!(again.field("ExistingJobStatus"), "BEGIN", "{profile}");
        assert_eq!(begun.field("Status"), "LABEL_ALREADY_EXISTS", "{profile}");
        assert_eq!(begun.field("ExistingJobStatus"), "FINISHED", "{profile}");
    }
}

#[tokio::test]
async fn s23_a_rolled_back_transaction_commits_with_ok_before_4_1() {
    for profile in [Profile::V4_0, Profile::V4_0_7, Profile::V4_1] {
        let bed = bed_of(profile).await;
        let client = Client::new(&bed, "a", MULTI);
        client.call("begin", "").await;
        client.load("t", "", r#"{"id":1}"#).await;
        assert_eq!(client.status("rollback", "").await, "OK", "{profile}");
        let commit = client.call("commit", "").await;
        if profile == Profile::V4_1 {
            assert!(
                commit.field("Message").contains("Can not commit CANCELLED transaction"),
                "{}",
                commit.body
            );
        } else {
            assert_eq!(commit.field("Status"), "OK", "{profile}");
        }
        assert_eq!(
            (state(&bed, "a").await.field("state"), count(&bed).await),
            ("UNKNOWN".into(), "0".into())
        );
    }
}

#[tokio::test]
async fn s23_a_begin_without_a_timeout_lasts_twenty_seconds_from_4_0_7() {
    for (profile, lives) in [(Profile::V4_0, true), (Profile::V4_0_7, false), (Profile::V4_1, false)] {
        let bed = bed_of(profile).await;
        let client = Client::new(&bed, "a", MULTI);
        client.call("begin", "").await;
        bed.standin.advance_clock(Duration::from_secs(21));
        assert_eq!(client.load("t", "", r#"{"id":1}"#).await.field("Status") == "OK", lives, "{profile}");
    }
}

#[tokio::test]
async fn s23_a_restarted_frontend_has_lost_the_open_transaction() {
    let bed = bed().await;
    let client = Client::new(&bed, "a", MULTI);
    client.call("begin", "").await;
    client.load("t", "", r#"{"id":1}"#).await;
    bed.standin.down(Part::Fe).await;
    bed.standin.up(Part::Fe).await.expect("comes up");
    let load = client.load("t", "", r#"{"id":2}"#).await;
    assert!(load.field("Message").ends_with("stream load task a does not exist"), "{}", load.body);
    assert_eq!(client.status("commit", "").await, "FAILED");
    assert_eq!((state(&bed, "a").await.field("state"), count(&bed).await), ("UNKNOWN".into(), "0".into()));
}

#[tokio::test]
async fn s23_a_frontend_restarted_in_a_step_has_forgotten_it_whatever_the_backend_took() {
    let bed = bed().await;
    for stage in [Stage::Redirect, Stage::Continue, Stage::Answer] {
        let label = format!("{stage:?}");
        let client = Client::new(&bed, &label, MULTI);
        assert_eq!(client.status("begin", "timeout: 60\r\n").await, "OK");
        bed.standin.inject(Fault::once(stage, Action::RestartFrontend));
        let load = client.load("t", "", r#"{"id":1}"#).await;
        let expected = if stage == Stage::Redirect { 0 } else { 200 };
        assert_eq!(load.status, expected, "{stage:?}: only a call that the frontend serves ends with it");
        let commit = client.call("commit", "").await;
        assert!(commit.field("Message").ends_with(&format!("stream load task {label} does not exist")));
        assert_eq!(
            (state(&bed, &label).await.field("state"), count(&bed).await),
            ("UNKNOWN".into(), "0".into())
        );
    }
}

#[tokio::test]
async fn s23_a_backend_refuses_what_is_the_frontends_and_prepare_is_nobodys() {
    let bed = bed().await;
    let client = Client::new(&bed, "a", MULTI);
    client.call("begin", "").await;
    assert!(client.call("prepare", "").await.field("Message").ends_with("Unsupported operation"));
    for operation in ["begin", "commit", "rollback"] {
        let request = format!(
            "POST /api/transaction/{operation} HTTP/1.1\r\n{}Content-Length: 0\r\n\r\n",
            client.headers
        );
        assert_eq!(bed.be(&request).await.field("Status"), "INVALID_ARGUMENT", "{operation}");
    }
}

#[tokio::test]
async fn s23_a_load_that_fails_or_a_backend_that_dies_dooms_the_commit() {
    let bed = bed().await;
    let broken = Client::new(&bed, "broken", MULTI);
    broken.call("begin", "").await;
    assert_eq!(broken.load("t", "", "{").await.field("Status"), "ANALYSIS_ERROR");
    broken.load("t", "", r#"{"id":1}"#).await;
    let dead = Client::new(&bed, "dead", MULTI);
    dead.call("begin", "").await;
    dead.load("t", "", r#"{"id":1}"#).await;
    bed.standin.down(Part::Be).await;
    bed.standin.up(Part::Be).await.expect("comes up");
    for (client, label) in [(broken, "broken"), (dead, "dead")] {
        client.call("commit", "").await;
        assert_eq!(state(&bed, label).await.field("state"), "ABORTED", "{label}");
    }
    assert_eq!(count(&bed).await, "0");
}

#[tokio::test]
async fn s23_an_answer_lost_around_the_commit_is_found_by_the_label() {
    let bed = bed().await;
    for (stage, expected) in [(Stage::Commit, "UNKNOWN"), (Stage::Answer, "VISIBLE")] {
        let label = format!("{stage:?}");
        let client = Client::new(&bed, &label, MULTI);
        client.call("begin", "").await;
        client.load("t", "", r#"{"id":1}"#).await;
        bed.standin.inject(Fault::once(stage, Action::Close));
        assert_eq!(client.call("commit", "").await.status, 0, "{stage:?}");
        assert_eq!(state(&bed, &label).await.field("state"), expected, "{stage:?}");
    }
}
