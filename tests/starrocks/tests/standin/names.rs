//! Names (S20).

use starrocks_standin::Profile;

use crate::bed::{Bed, head, put};

const REST: &str = "PRIMARY KEY(id) PROPERTIES('replication_num'='1')";

#[tokio::test]
async fn s20_backticks_inside_quoted_names_are_removed() {
    let bed = Bed::with_table("id BIGINT NOT NULL, `a``b` INT").await;
    assert_eq!(bed.rows("DESC d.t").await[1][0].as_deref(), Some("ab"));
    bed.load("columns: id, `a``b`", r#"{"id":1,"ab":7}"#).await;
    assert_eq!(bed.lines("SELECT `ab` FROM d.t").await, ["7"]);
    assert_eq!(
        bed.refused(&format!("CREATE TABLE d.u (id BIGINT NOT NULL, ab INT, `a``b` INT) {REST}")).await.0,
        1060
    );
}

#[tokio::test]
async fn s20_column_names_ignore_case_and_tables_do_not() {
    let bed = Bed::with_table("id BIGINT NOT NULL, Value INT").await;
    assert_eq!(bed.refused("ALTER TABLE d.t ADD COLUMN VALUE INT").await.0, 1064);
    bed.load("columns: ID, vALUE", r#"{"ID":1,"vALUE":7}"#).await;
    assert_eq!(bed.lines("SELECT value FROM d.t WHERE iD = 1").await, ["7"]);
    bed.load("", r#"{"id":2,"value":7}"#).await;
    assert_eq!(
        bed.lines("SELECT value FROM d.t WHERE id = 2").await,
        ["NULL"],
        "keys of JSON mind their case"
    );
    assert_eq!(bed.refused("SELECT 1 FROM d.T").await.0, 5502);
    bed.run(&format!("CREATE TABLE d.T (id BIGINT NOT NULL) {REST}")).await;
    assert_eq!(bed.refused("USE D").await.0, 5501);
}

#[tokio::test]
async fn s20_some_names_are_forbidden() {
    let bed = Bed::of(Profile::V4_0).await;
    bed.run("CREATE DATABASE d").await;
    let reserved =
        ["__op", "__OP", "__row", "___count___", "__generated_partition_column_1", "__starrocks_shadow_x"];
    for name in reserved {
        let statement = format!("CREATE TABLE d.t (id BIGINT NOT NULL, `{name}` INT) {REST}");
        assert_eq!(bed.refused(&statement).await.0, 1064, "{name}");
    }
    for name in ["a=b", "a<b", "a>b", "a!b", "a*b", ""] {
        let statement = format!("CREATE TABLE d.t (id BIGINT NOT NULL, `{name}` INT) {REST}");
        assert_eq!(bed.refused(&statement).await.0, 1166, "{name}");
    }
    for name in ["1d", "-d", ""] {
        assert_eq!(bed.refused(&format!("CREATE DATABASE `{name}`")).await.0, 1102, "{name}");
    }
    let long = "x".repeat(1025);
    assert_eq!(bed.refused(&format!("CREATE TABLE d.`{long}` (id BIGINT NOT NULL) {REST}")).await.0, 1104);
    let old = Bed::of(Profile::V3_5).await;
    old.run("CREATE DATABASE d").await;
    old.run(&format!("CREATE TABLE d.t (id BIGINT NOT NULL, ___count___ INT) {REST}")).await;
}

#[tokio::test]
async fn s20_a_name_in_a_path_is_decoded_by_backends_from_4_0_on() {
    for (profile, status) in [(Profile::V3_5, "Fail"), (Profile::V4_0, "Success")] {
        let bed = Bed::of(profile).await;
        bed.run("CREATE DATABASE d").await;
        bed.run(&format!("CREATE TABLE d.`a b` (id BIGINT NOT NULL) {REST}")).await;
        let answer = put(bed.standin.be_port(), &head("d/a%20b", "", 8), r#"{"id":1}"#).await;
        assert_eq!(answer.field("Status"), status, "{profile}");
    }
}
