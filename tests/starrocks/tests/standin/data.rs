//! Shared-data's order of deletes (S25) and the versions that loads leave behind (S28).

use std::time::Duration;

use starrocks_standin::{Mode, Options, Settings};

use crate::bed::Bed;

async fn bed(mode: Mode, settings: Settings) -> Bed {
    let bed = Bed::with(Options { mode, settings, ..Options::default() }).await;
    bed.create("id BIGINT NOT NULL, v INT").await;
    bed
}

const HEADERS: &str = "columns: id, v, __op";
const DELETE_THEN_UPSERT: &str = r#"{"id":1,"__op":1}{"id":2,"v":2,"__op":0}{"id":1,"v":9,"__op":0}"#;

#[tokio::test]
async fn s25_a_delete_comes_after_the_upsert_that_followed_it_in_another_memtable() {
    for (mode, memtable_rows, expected) in [
        (Mode::Data, 2, vec!["2,2"]),
        (Mode::Data, 3, vec!["1,9", "2,2"]),
        (Mode::Nothing, 2, vec!["1,9", "2,2"]),
    ] {
        let bed = bed(mode, Settings { memtable_rows, ..Settings::default() }).await;
        let answer = bed.load(HEADERS, DELETE_THEN_UPSERT).await;
        assert_eq!(answer.field("Status"), "Success", "{}", answer.body);
        assert_eq!(bed.lines("SELECT * FROM d.t ORDER BY id").await, expected, "{mode} {memtable_rows}");
    }
}

#[tokio::test]
async fn s25_loads_keep_their_order_among_each_other() {
    let bed = bed(Mode::Data, Settings { memtable_rows: 1, ..Settings::default() }).await;
    bed.load(HEADERS, r#"{"id":1,"v":1,"__op":0}"#).await;
    bed.load(HEADERS, r#"{"id":1,"__op":1}"#).await;
    bed.load(HEADERS, r#"{"id":1,"v":3,"__op":0}"#).await;
    assert_eq!(bed.lines("SELECT * FROM d.t").await, ["1,3"]);
}

#[tokio::test]
async fn s25_the_catalogue_says_that_tables_live_elsewhere() {
    let bed = bed(Mode::Data, Settings::default()).await;
    let create = bed.rows("SHOW CREATE TABLE d.t").await[0][1].clone().expect("a statement");
    assert!(create.contains("\"persistent_index_type\" = \"CLOUD_NATIVE\""), "{create}");
    assert!(create.contains("\"storage_volume\" = \"builtin_storage_volume\""), "{create}");
    let nothing = Bed::with_table("id BIGINT NOT NULL").await;
    let with = "CREATE TABLE d.u (id BIGINT NOT NULL) PRIMARY KEY(id) \
                PROPERTIES('replication_num'='1','persistent_index_type'='LOCAL')";
    assert!(nothing.refused(with).await.1.contains("Unknown properties"), "shared-nothing refuses it");
    bed.run(with).await;
}

#[tokio::test]
async fn s28_too_frequent_loads_run_out_of_versions_until_compaction_comes() {
    for (mode, message) in
        [(Mode::Nothing, "because of too many versions"), (Mode::Data, "too large compaction score")]
    {
        let bed =
            bed(mode, Settings { max_versions: 4, compaction_millis: 120_000, ..Settings::default() }).await;
        for id in 0..3 {
            assert_eq!(bed.load("", format!("{{\"id\":{id}}}")).await.field("Status"), "Success");
        }
        let answer = bed.load("label: x", r#"{"id":3}"#).await;
        assert!(answer.field("Message").contains(message), "{}", answer.body);
        bed.standin.advance_clock(Duration::from_secs(120));
        assert_eq!(bed.load("label: x", r#"{"id":3}"#).await.field("Status"), "Success");
        assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["4"]);
    }
}
