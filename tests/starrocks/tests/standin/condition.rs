//! `merge_condition` (S26).

use crate::bed::Bed;

async fn bed() -> Bed {
    let bed = Bed::with_table("id BIGINT NOT NULL, p BIGINT, v VARCHAR(5), w INT").await;
    bed.load("", r#"{"id":1,"p":10,"v":"old","w":1}"#).await;
    bed
}

#[tokio::test]
async fn s26_a_row_wins_when_its_value_is_not_less_than_the_stored_one() {
    let bed = bed().await;
    let load = async |row: &str| bed.load("merge_condition: P", row).await.field("Status");
    assert_eq!(load(r#"{"id":1,"p":9,"v":"late"}"#).await, "Success");
    assert_eq!(bed.lines("SELECT v FROM d.t").await, ["old"]);
    load(r#"{"id":1,"p":10,"v":"equal"}{"id":2,"p":1,"v":"new"}"#).await;
    assert_eq!(bed.lines("SELECT v FROM d.t ORDER BY id").await, ["equal", "new"]);
    load(r#"{"id":1,"p":12,"v":"c"}{"id":1,"p":11,"v":"b"}"#).await;
    assert_eq!(bed.lines("SELECT p, v FROM d.t WHERE id = 1").await, ["12,c"]);
}

#[tokio::test]
async fn s26_a_partial_update_obeys_the_condition_too() {
    let bed = bed().await;
    let headers = "partial_update: true\nmerge_condition: p\ncolumns: id, p, v";
    bed.load(headers, r#"{"id":1,"p":9,"v":"late"}"#).await;
    bed.load(headers, r#"{"id":1,"p":11,"v":"newer"}"#).await;
    assert_eq!(bed.lines("SELECT p, v, w FROM d.t").await, ["11,newer,1"]);
    let answer = bed.load("partial_update: true\nmerge_condition: p\ncolumns: id, v", r#"{"id":1}"#).await;
    assert!(answer.field("Message").starts_with("Merge condition column p does not exist."));
}

#[tokio::test]
async fn s26_a_delete_with_a_condition_is_an_error() {
    let bed = bed().await;
    let answer = bed.load("merge_condition: p\ncolumns: id, p, __op", r#"{"id":1,"p":11,"__op":1}"#).await;
    assert_eq!(answer.field("Status"), "Fail");
    assert!(answer.field("Message").ends_with("delete with condition column p"), "{}", answer.body);
    assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["1"]);
}

#[tokio::test]
async fn s26_the_condition_is_a_number_or_a_date_and_no_key() {
    let bed = bed().await;
    let message =
        async |column: &str| bed.load(&format!("merge_condition: {column}"), "{}").await.field("Message");
    assert_eq!(message("id").await, "Merge condition column id should not be primary key!");
    assert!(message("nope").await.starts_with("Merge condition column nope does not exist."));
    assert!(message("v").await.contains("is not of a numeric or date type"));
}
