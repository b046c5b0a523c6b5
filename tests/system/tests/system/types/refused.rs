//! Torture 27: rows that StarRocks refuses although every value has a form. The targets here have columns that were
//! made too narrow.

use anyhow::Result;
use serde_json::Value as Json;
use system::{wait, worker::Worker};

use super::super::rig::{DATABASE, Rig};

/// Creates `app.t`, whose texts may have five bytes.
async fn narrow(schema: &str, policy: &str) -> Result<Rig> {
    let mut rig = Rig::of(schema, "t").await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_ON_REFUSED_ROW", policy);
    rig.sink.rows(&format!("CREATE DATABASE {DATABASE}")).await?;
    let create = "CREATE TABLE app.t (id BIGINT NOT NULL, v VARCHAR(5), big VARCHAR(1048576)) PRIMARY KEY (id) \
                  DISTRIBUTED BY HASH(id) PROPERTIES (\"replication_num\" = \"1\")";
    rig.sink.rows(create).await?;
    Ok(rig)
}

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, v text, big text)";

async fn until_value(rig: &Rig, sql: &str, expected: &str) -> Result<()> {
    wait::until(sql, async || {
        let found = rig.sink.value(sql).await?;
        anyhow::ensure!(found.as_deref() == Some(expected), "{found:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_in_a_million_becomes_a_dead_letter_and_the_others_flow() -> Result<()> {
    let mut rig = narrow(TABLE, "DeadLetter").await?;
    rig.settings = rig.settings.clone().with("FLUSH_SIZE", "100000");
    let worker = rig.worker().await?;
    rig.source
        .run("INSERT INTO t SELECT i, CASE i WHEN 654321 THEN 'too long' ELSE 'short' END FROM generate_series(1, 1000000) i")
        .await?;
    until_value(&rig, "SELECT COUNT(*) FROM app.t", "999999").await?;
    until_value(&rig, "SELECT COUNT(*) FROM app.dbmazz_dead_letters", "1").await?;
    let letters = rig
        .sink
        .rows("SELECT source_table, row_key, row_json, error, lsn FROM app.dbmazz_dead_letters")
        .await?;
    let letter: Vec<_> = letters.into_iter().flatten().flatten().collect();
    assert_eq!((letter[0].as_str(), letter[1].as_str()), ("public.t", "{\"id\":\"654321\"}"));
    let row: Json = serde_json::from_str(&letter[2])?;
    assert_eq!((&row["id"], &row["v"]), (&654_321.into(), &"too long".into()));
    assert!(letter[3].contains("refused") && letter[4].contains('/'), "{letter:?}");
    let metrics = worker.http("/metrics")?.1;
    assert!(metrics.contains("dbmazz_table_dead_letters_total{table=\"public.t\"} 1"), "{metrics}");
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_that_comes_again_is_the_same_dead_letter_and_a_later_change_heals_it() -> Result<()> {
    let rig = narrow(TABLE, "DeadLetter").await?;
    let mut worker = rig.worker().await?;
    // The worker dies after the dead letter is written and before anything is confirmed, with its loads delayed.
    rig.inject("commit", serde_json::json!({"delay": {"millis": 300}}), 4)?;
    rig.source.run("INSERT INTO t VALUES (1, 'a'), (2, 'too long'), (3, 'c')").await?;
    until_value(&rig, "SELECT COUNT(*) FROM app.dbmazz_dead_letters", "1").await?;
    worker.crash()?;
    worker.until_ready().await?;
    rig.until_confirmed().await?;
    assert_eq!(rig.sink.value("SELECT COUNT(*) FROM app.dbmazz_dead_letters").await?.as_deref(), Some("1"));
    assert_eq!(rig.sink.value("SELECT COUNT(*) FROM app.t").await?.as_deref(), Some("2"));
    rig.source.run("UPDATE t SET v = 'b' WHERE id = 2").await?;
    rig.until_table_equal("t").await?;
    assert!(!worker.process().said().contains("too long"), "a value is never logged");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_refused_row_follows_it_and_the_whole_row_answers_both_dead_letters() -> Result<()> {
    let schema = format!("{TABLE}; ALTER TABLE t ALTER big SET STORAGE EXTERNAL");
    let rig = narrow(&schema, "DeadLetter").await?;
    let mut worker = rig.worker().await?;
    rig.source
        .run("INSERT INTO t VALUES (1, 'too long', repeat('x', 9000)), (2, 'b', repeat('y', 9000))")
        .await?;
    until_value(&rig, "SELECT COUNT(*) FROM app.t", "1").await?;
    rig.until_confirmed().await?;
    // A later worker knows of the dead letter too.
    worker.crash()?;
    worker.until_ready().await?;
    rig.source.run("UPDATE t SET v = 'c'").await?;
    let standing = "SELECT COUNT(*) FROM app.dbmazz_dead_letters WHERE dbmazz_is_deleted = 0";
    until_value(&rig, standing, "2").await?;
    until_value(&rig, "SELECT v FROM app.t WHERE id = 2", "c").await?;
    assert_eq!(rig.sink.value("SELECT COUNT(*) FROM app.t").await?.as_deref(), Some("1"), "no half row");
    rig.source.run("UPDATE t SET big = repeat('z', 9000) WHERE id = 1").await?;
    rig.until_table_equal("t").await?;
    until_value(&rig, standing, "0").await
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_a_refused_row_halts_its_table_and_says_which_transaction_wrote_it() -> Result<()> {
    let rig = narrow(TABLE, "Halt").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t SELECT i, 'short' FROM generate_series(1, 99) i; INSERT INTO t VALUES (100, 'too long')").await?;
    let fault = worker.until_fault("RowsRefused").await?;
    assert_eq!((fault.table.as_str(), fault.halted), ("public.t", true));
    assert!(fault.message.contains("committed at") && fault.fix.contains("onRefusedRow"), "{fault:?}");
    assert!(!fault.message.contains("too long"), "{fault:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_refused_rows_than_can_be_an_accident_halt_the_table() -> Result<()> {
    let rig = narrow(TABLE, "DeadLetter").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t SELECT i, 'too long' FROM generate_series(1, 150) i").await?;
    let fault = worker.until_fault("RowsRefused").await?;
    assert!(fault.message.contains("more than 100 rows"), "{fault:?}");
    Ok(())
}

/// A JSON document with this many levels.
fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

const DOCUMENTS: &str =
    "CREATE TABLE t (id bigint PRIMARY KEY, doc jsonb); CREATE TABLE u (id bigint PRIMARY KEY)";
const TOO_DEEP: &str = "Failed to iterate document stream as object. error: DEPTH_ERROR: The JSON document was too deep \
                        (too many nested objects and arrays)";

/// A job that has loaded a document of 900 levels, and whose StarRocks refuses the next load of `t`, and then the part
/// of that load with one of its rows.
async fn too_deep(policy: &str) -> Result<Rig> {
    let mut rig = Rig::of(DOCUMENTS, "t,u").await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_ON_REFUSED_ROW", policy);
    let mut worker = rig.worker().await?;
    rig.source.run(&format!("INSERT INTO t VALUES (0, '[1]'), (1, '{}')", nested(900))).await?;
    assert_eq!(rig.until_table_equal("t").await?, 2);
    rig.until_confirmed().await?;
    worker.process().kill()?;
    let fail = serde_json::json!({"fail": {"message": TOO_DEEP}});
    let table = format!("{DATABASE}.t");
    for skip in [0, 1] {
        rig.sink.inject(&serde_json::json!(
            {"stage": "commit", "table": table, "action": fail, "count": 1, "skip": skip}
        ))?;
    }
    rig.source
        .run(&format!("INSERT INTO t VALUES (2, '{}'), (3, '[2]'); INSERT INTO u VALUES (1)", nested(900)))
        .await?;
    Ok(rig)
}

/// StarRocks refuses the whole body because of the depth of one row.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_makes_a_whole_body_unreadable_is_found_and_becomes_a_dead_letter_and_the_others_go_on()
-> Result<()> {
    let rig = too_deep("DeadLetter").await?;
    let worker = rig.worker().await?;
    until_value(&rig, "SELECT COUNT(*) FROM app.dbmazz_dead_letters", "1").await?;
    until_value(&rig, "SELECT COUNT(*) FROM app.t", "3").await?;
    assert_eq!(rig.until_table_equal("u").await?, 1);
    rig.until_confirmed().await?;
    assert_eq!(worker.status().await?.faults, []);
    rig.source.run("UPDATE t SET doc = '[3]' WHERE id IN (2, 3)").await?;
    assert_eq!(rig.until_table_equal("t").await?, 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_makes_a_whole_body_unreadable_halts_its_table_with_a_remedy_that_works() -> Result<()> {
    let rig = too_deep("Halt").await?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("RowsRefused").await?;
    assert!(fault.halted && fault.table == "public.t" && fault.fix.contains("onRefusedRow"), "{fault:?}");
    assert!(fault.message.contains("DEPTH_ERROR") && !fault.message.contains("[["), "{fault:?}");
    assert_eq!(rig.until_table_equal("u").await?, 1);
    worker.process().kill()?;
    let parking = rig.settings.clone().with("DBMAZZ_ON_REFUSED_ROW", "DeadLetter");
    let _worker = Worker::ready(&parking).await?;
    assert_eq!(rig.until_table_equal("t").await?, 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_deeper_than_starrocks_reads_is_named_before_it_is_sent_and_the_rule_for_it_works()
-> Result<()> {
    let rig = Rig::of(DOCUMENTS, "t,u").await?;
    let mut worker = rig.worker().await?;
    rig.source.run(&format!("INSERT INTO t VALUES (1, '{}'), (2, '[2]')", nested(1100))).await?;
    let fault = worker.until_fault("ValueNotRepresentable").await?;
    assert!(fault.halted && fault.message.contains("doc") && fault.message.contains("deep"), "{fault:?}");
    assert!(fault.fix.contains("json to Null"), "{fault:?}");
    rig.source.run("INSERT INTO u VALUES (2)").await?;
    assert_eq!(rig.until_table_equal("u").await?, 1);
    worker.process().kill()?;
    let by_rule = rig.settings.clone().with("DBMAZZ_VALUES_JSON", "Null");
    let _worker = Worker::ready(&by_rule).await?;
    until_value(&rig, "SELECT COUNT(*) FROM app.t WHERE doc IS NULL", "1").await?;
    until_value(&rig, "SELECT COUNT(*) FROM app.t", "2").await
}
