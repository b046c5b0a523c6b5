//! Schema changes that take time (S19, S30).

use std::time::Duration;

use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use starrocks_standin::{Action, Fault, Mode, Options, Profile, Settings, Stage};

use crate::{
    bed::Bed,
    labels::{state, wait_for_state},
};

const COLUMNS: &str = "id BIGINT NOT NULL, v INT, w VARCHAR(5)";
const WIDEN: &str = "ALTER TABLE d.t MODIFY COLUMN v BIGINT";

/// A stand-in on which a job takes ten seconds of the stand-in's clock.
async fn slow(options: Options) -> Bed {
    let settings = Settings { alter_millis: 10_000, ..Settings::default() };
    let bed = Bed::with(Options { settings, ..options }).await;
    bed.create(COLUMNS).await;
    bed
}

async fn bed() -> Bed {
    slow(Options::default()).await
}

async fn type_of_v(bed: &Bed) -> String {
    bed.rows("DESC d.t").await[1][1].clone().unwrap_or_default()
}

#[tokio::test]
async fn s19_a_modify_is_a_job_and_the_columns_change_when_it_ends() {
    let bed = bed().await;
    bed.load("", r#"{"id":1,"v":5}"#).await;
    bed.run(WIDEN).await;
    assert_eq!(
        (type_of_v(&bed).await.as_str(), bed.alter_states().await.concat().as_str()),
        ("int", "PENDING")
    );
    bed.standin.advance_clock(Duration::from_secs(6));
    assert_eq!(
        (type_of_v(&bed).await.as_str(), bed.alter_states().await.concat().as_str()),
        ("int", "RUNNING")
    );
    bed.standin.advance_clock(Duration::from_secs(6));
    assert_eq!(bed.alter_states().await, ["FINISHED"]);
    assert_eq!(type_of_v(&bed).await, "bigint");
    assert_eq!(bed.lines("SELECT v FROM d.t").await, ["5"]);
}

#[tokio::test]
async fn s19_an_identical_definition_leaves_no_job() {
    let bed = bed().await;
    bed.run("ALTER TABLE d.t MODIFY COLUMN v INT").await;
    assert!(bed.alter_states().await.is_empty());
    bed.run("ALTER TABLE d.t MODIFY COLUMN v INT COMMENT 'x'").await;
    assert_eq!(bed.alter_states().await, ["PENDING"], "a new comment is a change");
}

#[tokio::test]
async fn s19_a_table_has_one_job_and_it_blocks_all_but_drop() {
    let bed = bed().await;
    bed.run("CREATE TABLE d.u (id BIGINT NOT NULL) PRIMARY KEY(id) PROPERTIES('replication_num'='1')").await;
    bed.run(WIDEN).await;
    let refused = [
        ("ALTER TABLE d.t ADD COLUMN x INT", "schema change operation is in progress on the table"),
        ("ALTER TABLE d.t MODIFY COLUMN w VARCHAR(9)", "schema change operation is in progress on the table"),
        ("ALTER TABLE d.t RENAME COLUMN w TO x", "schema change operation is in progress on the table"),
        ("ALTER TABLE d.t RENAME x", "SCHEMA_CHANGE"),
        ("ALTER TABLE d.t SWAP WITH u", "SCHEMA_CHANGE"),
        ("ALTER TABLE d.u SWAP WITH t", "SCHEMA_CHANGE"),
        ("TRUNCATE TABLE d.t", "SCHEMA_CHANGE"),
    ];
    for (statement, reason) in refused {
        let (code, message) = bed.refused(statement).await;
        assert!(code == 1064 && message.contains(reason), "{statement}: {code} {message}");
    }
    bed.run("DROP TABLE d.t").await;
    assert_eq!(bed.alter_states().await, ["CANCELLED"]);
}

#[tokio::test]
async fn s19_fast_schema_evolution_decides_whether_add_is_a_job() {
    let fast = bed().await;
    fast.run("ALTER TABLE d.t ADD COLUMN x INT").await;
    assert_eq!(fast.alter_states().await, ["FINISHED"]);
    assert_eq!(fast.rows("DESC d.t").await.len(), 4);

    let old = slow(Options { profile: Profile::V3_2, ..Options::default() }).await;
    old.run("ALTER TABLE d.t ADD COLUMN x INT").await;
    assert_eq!(old.alter_states().await, ["PENDING"], "off unless asked for in 3.2");
    assert_eq!(old.rows("DESC d.t").await.len(), 3);
}

#[tokio::test]
async fn s19_in_shared_data_an_add_is_a_job_until_4_1() {
    for (profile, states) in [(Profile::V4_0, "PENDING"), (Profile::V4_1, "FINISHED")] {
        let bed = slow(Options { profile, mode: Mode::Data, ..Options::default() }).await;
        bed.run("ALTER TABLE d.t ADD COLUMN x INT, DROP COLUMN w").await;
        assert_eq!(bed.alter_states().await, [states], "{profile}");
        let fields = bed.rows("SHOW ALTER TABLE COLUMN FROM d").await;
        assert_eq!(fields[0][13].as_deref(), Some("default_warehouse"));
        bed.finish_alters().await;
        assert_eq!(bed.rows("DESC d.t").await[2][0].as_deref(), Some("x"), "{profile}");
    }
}

#[tokio::test]
async fn s19_rename_column_came_with_3_3_and_leaves_no_job() {
    for profile in Profile::ALL {
        let bed = slow(Options { profile, ..Options::default() }).await;
        let rename = "ALTER TABLE d.t RENAME COLUMN v TO x";
        if profile == Profile::V3_2 {
            assert_eq!(bed.refused(rename).await.0, 1064);
            continue;
        }
        bed.run(rename).await;
        assert!(bed.alter_states().await.is_empty(), "{profile}");
        assert_eq!(bed.rows("DESC d.t").await[1][0].as_deref(), Some("x"), "{profile}");
    }
}

#[tokio::test]
async fn s19_types_change_by_the_list_and_not_otherwise() {
    let accepted = [
        ("TINYINT", "LARGEINT"),
        ("INT", "BIGINT"),
        ("BIGINT", "DOUBLE"),
        ("FLOAT", "DOUBLE"),
        ("BIGINT", "VARCHAR(20)"),
        ("DECIMAL(10,2)", "VARCHAR(20)"),
        ("JSON", "VARCHAR(1024)"),
        ("VARCHAR(10)", "INT"),
        ("VARCHAR(10)", "DATE"),
        ("VARCHAR(10)", "JSON"),
        ("VARCHAR(10)", "DECIMAL(10,2)"),
        ("VARCHAR(10)", "VARCHAR(11)"),
        ("DECIMAL(10,2)", "DECIMAL(12,4)"),
        ("DATE", "DATETIME"),
        ("DATETIME", "DATE"),
        ("CHAR(5)", "VARCHAR(5)"),
    ];
    let refused = [
        ("BIGINT", "INT"),
        ("INT", "DECIMAL(20,0)"),
        ("LARGEINT", "DOUBLE"),
        ("BOOLEAN", "INT"),
        ("DATETIME", "VARCHAR(30)"),
        ("DATE", "VARCHAR(30)"),
        ("DOUBLE", "FLOAT"),
        ("VARCHAR(10)", "VARCHAR(9)"),
        ("VARCHAR(10)", "DATETIME"),
        ("DECIMAL(10,2)", "DECIMAL(11,4)"),
        ("DECIMAL(10,2)", "DECIMAL(10,1)"),
        ("JSON", "VARCHAR(1023)"),
    ];
    let bed = Bed::with(Options {
        settings: Settings { alter_millis: 0, ..Settings::default() },
        ..Options::default()
    })
    .await;
    bed.run("CREATE DATABASE d").await;
    for (place, (from, to)) in accepted.into_iter().chain(refused).enumerate() {
        bed.run(&format!(
            "CREATE TABLE d.t{place} (id BIGINT NOT NULL, c {from}) PRIMARY KEY(id) PROPERTIES('replication_num'='1')"
        ))
        .await;
        let statement = format!("ALTER TABLE d.t{place} MODIFY COLUMN c {to}");
        if place < accepted.len() {
            bed.run(&statement).await;
        } else {
            assert_eq!(bed.refused(&statement).await.0, 1064, "{from} to {to}");
        }
    }
    assert_eq!(bed.alter_states().await.len(), accepted.len());
}

#[tokio::test]
async fn s30_loads_go_on_during_a_job_with_the_columns_of_their_plan() {
    let bed = bed().await;
    bed.run("ALTER TABLE d.t MODIFY COLUMN w VARCHAR(9), ADD COLUMN x INT").await;
    assert_eq!(bed.load("", r#"{"id":1,"w":"five!"}"#).await.field("Status"), "Success");
    assert_eq!(bed.load("strict_mode: true", r#"{"id":2,"w":"longer"}"#).await.field("Status"), "Fail");
    let answer = bed.load("columns: id, x, x=1", r#"{"id":2}"#).await;
    assert_eq!(answer.field("Message"), "Mapping column is not in table. column: x");
    bed.finish_alters().await;
    assert_eq!(bed.load("", r#"{"id":2,"w":"longer","x":1}"#).await.field("Status"), "Success");
    assert_eq!(bed.lines("SELECT * FROM d.t ORDER BY id").await, ["1,NULL,five!,NULL", "2,NULL,longer,1"]);
}

#[tokio::test]
async fn s30_a_load_planned_before_a_job_ended_fits_the_new_columns() {
    let bed = bed().await;
    bed.run("ALTER TABLE d.t MODIFY COLUMN v VARCHAR(10), ADD COLUMN x INT DEFAULT '3'").await;
    bed.standin.inject(Fault::once(Stage::Commit, Action::Hold));
    let run = bed.load("label: old", r#"{"id":1,"v":7,"w":"a"}"#);
    let meanwhile = async {
        wait_for_state(&bed, "old", "PREPARE").await;
        bed.finish_alters().await;
        bed.standin.clear_faults();
    };
    let (answer, ()) = tokio::join!(run, meanwhile);
    assert_eq!(answer.field("Status"), "Success");
    assert_eq!(bed.lines("SELECT * FROM d.t").await, ["1,7,a,3"]);
}

#[tokio::test]
async fn s30_a_job_waits_for_loads_begun_before_it() {
    let bed = bed().await;
    bed.standin.inject(Fault::once(Stage::Commit, Action::Hold));
    let run = bed.load("label: open", r#"{"id":1,"v":1}"#);
    let meanwhile = async {
        wait_for_state(&bed, "open", "PREPARE").await;
        bed.run(WIDEN).await;
        bed.standin.advance_clock(Duration::from_secs(60));
        assert_eq!(bed.alter_states().await, ["WAITING_TXN"]);
        bed.standin.clear_faults();
    };
    let (answer, ()) = tokio::join!(run, meanwhile);
    assert_eq!(answer.field("Status"), "Success");
    bed.finish_alters().await;
    assert_eq!(bed.alter_states().await, ["FINISHED"]);
    assert_eq!(bed.lines("SELECT v FROM d.t").await, ["1"]);
}

#[tokio::test]
async fn s30_a_job_can_be_cancelled_can_fail_and_can_hang() {
    let bed = bed().await;
    bed.run(WIDEN).await;
    bed.run("CANCEL ALTER TABLE COLUMN FROM d.t").await;
    assert_eq!(bed.refused("CANCEL ALTER TABLE COLUMN FROM d.t").await.0, 1064);
    bed.standin.inject(Fault::once(Stage::Alter, Action::Fail { message: "no disk".into() }).on_table("d.t"));
    bed.run(WIDEN).await;
    assert_eq!(bed.alter_states().await, ["CANCELLED", "CANCELLED"]);
    let last = "SHOW ALTER TABLE COLUMN FROM `d` WHERE TableName = \"t\" ORDER BY JobId DESC LIMIT 1";
    assert_eq!(bed.rows(last).await[0][10].as_deref(), Some("no disk"));
    bed.standin.inject(Fault::always(Stage::Alter, Action::Hold));
    bed.run(WIDEN).await;
    bed.standin.advance_clock(Duration::from_secs(60));
    assert_eq!(bed.alter_states().await.last().map(String::as_str), Some("PENDING"));
    bed.standin.clear_faults();
    bed.finish_alters().await;
    assert_eq!(type_of_v(&bed).await, "bigint");
}

#[tokio::test]
async fn s30_a_load_open_while_its_table_is_emptied_or_dropped_succeeds_and_its_rows_are_gone() {
    for statement in ["TRUNCATE TABLE d.t", "DROP TABLE d.t"] {
        let bed = bed().await;
        bed.standin.inject(Fault::once(Stage::Commit, Action::Hold));
        let run = bed.load("label: open", r#"{"id":1,"v":1}"#);
        let meanwhile = async {
            wait_for_state(&bed, "open", "PREPARE").await;
            bed.run(statement).await;
            bed.standin.clear_faults();
        };
        let (answer, ()) = tokio::join!(run, meanwhile);
        assert_eq!(answer.field("Status"), "Success", "{statement}");
        assert_eq!(state(&bed, "open").await.field("state"), "VISIBLE", "{statement}");
        if statement.starts_with("TRUNCATE") {
            assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["0"]);
        }
    }
}

#[tokio::test]
async fn s21_the_answer_to_a_statement_may_be_lost_before_or_after_it_is_done() {
    let bed = bed().await;
    let options = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(bed.standin.sql_port())
        .user(Some("root"))
        .prefer_socket(false);
    for (stage, columns) in [(Stage::Statement, 3), (Stage::Result, 4)] {
        bed.standin.inject(Fault::once(stage, Action::Close).on_label("ALTER*"));
        let mut connection = Conn::new(options.clone()).await.expect("connects");
        let lost = connection.query_drop("ALTER TABLE d.t ADD COLUMN x INT").await;
        assert!(matches!(lost, Err(mysql_async::Error::Io(_))), "{stage:?}: {lost:?}");
        assert_eq!(bed.rows("DESC d.t").await.len(), columns, "{stage:?}");
    }
    bed.standin
        .inject(Fault::once(Stage::Statement, Action::Fail { message: "busy".into() }).on_label("SELECT 1"));
    assert_eq!(bed.refused("SELECT 1").await, (1064, "busy".into()));
}
