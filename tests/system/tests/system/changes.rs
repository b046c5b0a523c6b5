//! Changes that are easy to replicate wrongly: updates that leave a large value alone, changes of keys, deletes.

use anyhow::Result;
use serde_json::json;
use system::wait;

use super::{
    identity::follow_remedy_at,
    rig::{DATABASE, Rig},
};

const TOAST: &str = "
    CREATE TABLE t (id int PRIMARY KEY, a text, large text, other text);
    ALTER TABLE t ALTER COLUMN large SET STORAGE EXTERNAL;
    ALTER TABLE t ALTER COLUMN other SET STORAGE EXTERNAL;
";

async fn toast_rig() -> Result<Rig> {
    Rig::of(TOAST, "t").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_5_an_unchanged_large_value_is_never_written_as_null() -> Result<()> {
    let rig = toast_rig().await?;
    let _worker = rig.worker().await?;
    let insert = "INSERT INTO t SELECT id, 'a', repeat('x', 9000 + id), repeat('y', 9000) FROM generate_series(1, 20) id";
    rig.source.run(insert).await?;
    rig.until_table_equal("t").await?;
    // These updates are alone in their batch: only a partial update can keep the value.
    rig.source.run("UPDATE t SET a = 'b' WHERE id <= 10").await?;
    rig.until_table_equal("t").await?;
    let several = "BEGIN; UPDATE t SET large = repeat('z', 8000) WHERE id = 3; UPDATE t SET a = 'c' WHERE id = 3; \
                   UPDATE t SET other = repeat('w', 8000) WHERE id = 4; UPDATE t SET a = 'd' WHERE id IN (3, 4, 5); COMMIT";
    rig.source.run(several).await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_5_with_full_identity_the_old_row_gives_the_value() -> Result<()> {
    let rig = toast_rig().await?;
    rig.source.run("ALTER TABLE t REPLICA IDENTITY FULL").await?;
    let _worker = rig.worker().await?;
    rig.source
        .run("INSERT INTO t SELECT id, 'a', repeat('x', 9000), NULL FROM generate_series(1, 5) id")
        .await?;
    rig.until_table_equal("t").await?;
    rig.source.run("UPDATE t SET a = 'b'; UPDATE t SET id = id + 100; DELETE FROM t WHERE id = 103").await?;
    assert_eq!(rig.until_table_equal("t").await?, 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_5_a_key_change_that_lacks_a_value_takes_it_from_the_source() -> Result<()> {
    let rig = toast_rig().await?;
    let mut worker = rig.worker().await?;
    rig.source
        .run("INSERT INTO t SELECT id, 'a', repeat(md5(id::text), 300), repeat('y', 9000) FROM generate_series(1, 300) id")
        .await?;
    rig.until_table_equal("t").await?;
    rig.source.run("UPDATE t SET id = id + 1000, a = 'b' WHERE id <= 250").await?;
    rig.until_table_equal("t").await?;
    let chain = "BEGIN; DELETE FROM t WHERE id = 300; UPDATE t SET id = 300 WHERE id = 299; UPDATE t SET a = 'c' WHERE id = 300; \
                 UPDATE t SET id = 2000 WHERE id = 298; UPDATE t SET id = 2001, other = NULL WHERE id = 2000; COMMIT";
    rig.source.run(chain).await?;
    rig.until_table_equal("t").await?;
    // What the killed worker had received is read again when the rows have gone on, or are gone.
    worker.process().kill()?;
    rig.source.run("UPDATE t SET id = id + 5000 WHERE id > 1000").await?;
    rig.source.run("UPDATE t SET id = id + 5000 WHERE id > 6000; DELETE FROM t WHERE id % 7 = 0").await?;
    let _worker = rig.worker().await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

/// Before the change of key is visible, another row has its new key.
#[tokio::test(flavor = "multi_thread")]
async fn rule_5_a_value_for_a_new_key_is_not_read_before_the_change_of_key_is_visible() -> Result<()> {
    let rig = toast_rig().await?;
    let mut worker = rig.worker().await?;
    rig.source
        .run("INSERT INTO t VALUES (1, 'a', repeat('x', 9000), NULL), (2, 'b', repeat('w', 9000), NULL)")
        .await?;
    rig.until_table_equal("t").await?;
    let unseen = rig
        .commit_unseen("BEGIN; DELETE FROM t WHERE id = 2; UPDATE t SET id = 2 WHERE id = 1; COMMIT")
        .await?;
    let fault = worker.until_fault("SourceCommitNotVisible").await?;
    assert!(!fault.halted && fault.fix.contains("standby"), "{fault:?}");
    rig.see(unseen).await?;
    assert_eq!(rig.until_table_equal("t").await?, 1);
    worker.until_ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_5_a_key_that_is_stored_as_a_large_value_is_a_key() -> Result<()> {
    let schema = "CREATE TABLE t (id text PRIMARY KEY, a text, large text) WITH (toast_tuple_target = 128); \
                  ALTER TABLE t ALTER COLUMN id SET STORAGE EXTERNAL, ALTER COLUMN large SET STORAGE EXTERNAL";
    let rig = Rig::of(schema, "t").await?;
    let _worker = rig.worker().await?;
    rig.source
        .run("INSERT INTO t SELECT repeat('k', 100 + i), 'a', repeat('x', 9000) FROM generate_series(1, 9) i")
        .await?;
    rig.until_table_equal("t").await?;
    rig.source
        .run(
            "UPDATE t SET a = 'b' WHERE length(id) < 105; UPDATE t SET id = 'n' || id WHERE length(id) = 106",
        )
        .await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_5_keys_that_move_leave_no_ghost() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, a text)", "t").await?;
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t SELECT id, 'row ' || id FROM generate_series(1, 10) id").await?;
    rig.until_table_equal("t").await?;
    let swap = "BEGIN; UPDATE t SET id = 99 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 99; COMMIT";
    let chain = "BEGIN; UPDATE t SET id = 20 WHERE id = 3; UPDATE t SET id = 21 WHERE id = 20; COMMIT";
    let return_ = "BEGIN; DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (4, 'again'); DELETE FROM t WHERE id = 5; COMMIT";
    for sql in [swap, chain, return_] {
        rig.source.run(sql).await?;
        rig.until_table_equal("t").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_8_a_soft_deleted_row_stays_with_its_values_and_its_mark() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, a text)", "t").await?;
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 'kept')").await?;
    rig.until_table_equal("t").await?;
    rig.source.run("DELETE FROM t").await?;
    rig.until_table_equal("t").await?;
    let row =
        rig.sink.rows(&format!("SELECT a, dbmazz_op_type, dbmazz_is_deleted FROM {DATABASE}.t")).await?;
    assert_eq!(row, [["kept", "2", "1"].map(|text| Some(text.to_owned()))]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_5_a_truncate_empties_the_target_in_its_place() -> Result<()> {
    let schema = "CREATE TABLE t (id int PRIMARY KEY); \
                  CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t)";
    let rig = Rig::of(schema, "t,child").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1), (2); INSERT INTO child VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    rig.until_table_equal("child").await?;
    // The TRUNCATE is in one transaction with rows before and after it, and the worker is killed on the way.
    rig.inject("begin", json!({"delay": {"millis": 300}}), 2)?;
    rig.source
        .run("BEGIN; INSERT INTO t VALUES (3); TRUNCATE t CASCADE; INSERT INTO t VALUES (4); COMMIT")
        .await?;
    worker.crash()?;
    rig.source.run("BEGIN; TRUNCATE t CASCADE; ROLLBACK; INSERT INTO child VALUES (2, 4)").await?;
    assert_eq!(rig.until_table_equal("t").await?, 1);
    assert_eq!(rig.until_table_equal("child").await?, 1);
    // Rows that were soft-deleted are removed too.
    assert_eq!(rig.sink.value("SELECT COUNT(*) FROM app.t").await?.as_deref(), Some("1"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_two_schemas_and_odd_names_stay_apart() -> Result<()> {
    let schema = "CREATE SCHEMA sales; CREATE TABLE t (id int PRIMARY KEY, \"Größe\" text, \"select\" text); \
                  CREATE TABLE sales.t (id int PRIMARY KEY, a text);";
    let rig = Rig::of(schema, "public.t,sales.t").await?;
    let _worker = rig.worker().await?;
    rig.source
        .run("INSERT INTO t VALUES (1, 'groß', 'x'); INSERT INTO sales.t VALUES (1, 'sold'), (2, 'two')")
        .await?;
    rig.until_table_equal("t").await?;
    assert_eq!(rig.until_table_equal("sales.t").await?, 2);
    Ok(())
}

const REFUSED: &str = "Do not support truncate now";

/// Makes the stand-in refuse this many TRUNCATEs.
fn refuse_truncate(rig: &Rig, count: u32) -> Result<()> {
    let action = json!({"fail": {"message": REFUSED}});
    rig.sink.inject(&json!({
        "stage": "statement", "label": "TRUNCATE TABLE*", "count": count, "action": action
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_that_is_refused_for_a_while_is_not_called_final() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY)", "t").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1)").await?;
    rig.until_table_equal("t").await?;
    refuse_truncate(&rig, 4)?;
    rig.source.run("TRUNCATE t").await?;
    let fault = worker.until_fault("TargetIncompatible").await?;
    assert!(!fault.halted && fault.message.contains(REFUSED), "{fault:?}");
    rig.source.run("INSERT INTO t VALUES (2)").await?;
    assert_eq!(rig.until_table_equal("t").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_that_is_refused_for_good_halts_its_table_and_both_remedies_work() -> Result<()> {
    let tables = "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)";
    for taken_anew in [false, true] {
        let rig = Rig::of(tables, "t,other").await?;
        let mut worker = rig.worker().await?;
        rig.source.run("INSERT INTO t VALUES (1)").await?;
        rig.until_equal().await?;
        refuse_truncate(&rig, 1000)?;
        rig.source.run("TRUNCATE t; INSERT INTO t VALUES (2); INSERT INTO other VALUES (1)").await?;
        let halted = async || {
            let faults = worker.status().await?.faults;
            Ok(faults.into_iter().find(|fault| fault.halted && fault.table == "public.t"))
        };
        let fault = wait::until("the table halts", halted).await?;
        assert!(fault.message.contains(REFUSED) && fault.fix.contains("restart the worker"), "{fault:?}");
        rig.until_table_equal("other").await?;
        rig.sink.heal()?;
        if taken_anew {
            follow_remedy_at(&rig.sink, &rig.source, &mut worker, &fault).await?;
        } else {
            worker.crash()?;
        }
        assert_eq!(rig.until_table_equal("t").await?, 1);
        rig.until_confirmed().await?;
    }
    Ok(())
}
