//! Columns that are added, dropped, renamed and widened while rows are replicated.

use anyhow::{Context, Result};
use serde_json::json;

use system::{wait, worker::Worker};

use super::rig::{DATABASE, Rig};

const TABLES: &str =
    "CREATE TABLE t (id int PRIMARY KEY, a int, s varchar(5)); CREATE TABLE u (id int PRIMARY KEY)";

/// Every change that is followed, with rows before and after it, alone and inside a transaction.
const CHANGES: [&str; 9] = [
    "INSERT INTO t SELECT i, i, 'old' FROM generate_series(1, 5) i",
    "ALTER TABLE t ADD COLUMN b text",
    "INSERT INTO t VALUES (6, 6, 'six', 'b'); UPDATE t SET b = 'set' WHERE id = 1",
    "BEGIN; INSERT INTO t VALUES (7, 7, 'in', 'b'); ALTER TABLE t RENAME a TO amount; \
     INSERT INTO t VALUES (8, 8, 'out', 'b'); UPDATE t SET amount = 70 WHERE id = 7; COMMIT",
    "ALTER TABLE t ALTER amount TYPE bigint, ALTER s TYPE varchar(40)",
    "INSERT INTO t VALUES (9, 9000000000, 'a text of many more letters', NULL)",
    "ALTER TABLE t DROP COLUMN b",
    "INSERT INTO t VALUES (10, 10, 'ten'); DELETE FROM t WHERE id = 2",
    "BEGIN; ALTER TABLE t ADD COLUMN c int DEFAULT 7; ALTER TABLE t RENAME s TO label; UPDATE t SET c = 8 WHERE id = 3; \
     ALTER TABLE t ADD COLUMN d numeric(8,2) NOT NULL DEFAULT 1.5; INSERT INTO t VALUES (11, 11, 'l', NULL, 2); COMMIT",
];

async fn columns_of(rig: &Rig, table: &str) -> Result<Vec<String>> {
    let rows = rig.sink.rows(&format!("DESC {DATABASE}.{table}")).await?;
    let names = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
    Ok(names.filter(|name| !name.starts_with("dbmazz_")).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_columns_are_followed_in_their_place() -> Result<()> {
    let rig = Rig::of(TABLES, "t,u").await?;
    let _worker = rig.worker().await?;
    for change in CHANGES {
        rig.source.run(change).await?;
        if change.contains("INSERT") {
            rig.until_table_equal("t").await?;
        }
    }
    assert_eq!(columns_of(&rig, "t").await?, ["id", "amount", "label", "b", "c", "d"]);
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_columns_are_followed_across_restarts() -> Result<()> {
    let rig = Rig::of(TABLES, "t,u").await?;
    let mut worker = rig.worker().await?;
    rig.until_table_equal("t").await?;
    for change in CHANGES {
        worker.process().kill()?;
        rig.source.run(change).await?;
        rig.source.run("UPDATE t SET id = id").await?;
        worker.crash()?;
    }
    rig.until_table_equal("t").await?;
    worker.crash()?;
    rig.source.run("UPDATE t SET id = id").await?;
    rig.until_table_equal("t").await?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_a_backlog_of_changed_columns_is_followed() -> Result<()> {
    let rig = Rig::of(TABLES, "t,u").await?;
    let mut worker = rig.worker().await?;
    rig.until_table_equal("t").await?;
    worker.process().kill()?;
    for change in CHANGES {
        rig.source.run(change).await?;
        rig.source.run("UPDATE t SET id = id").await?;
    }
    worker.crash()?;
    rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_7_a_change_that_takes_long_is_asked_for_once_and_holds_its_table_alone() -> Result<()> {
    let rig = Rig::of(TABLES, "t,u").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1, 'x')").await?;
    rig.until_table_equal("t").await?;
    rig.sink.inject(&json!({"stage": "alter", "action": "hold"}))?;
    let again = json!({"fail": {"message": "it was asked for before"}});
    rig.sink.inject(&json!({"stage": "statement", "label": "ALTER TABLE*", "skip": 1, "action": again}))?;
    let look = json!({"delay": {"millis": 0}});
    rig.sink
        .inject(&json!({"stage": "statement", "label": "DESC*", "skip": 4, "count": 1, "action": look}))?;
    let loads = rig.loads()?;
    rig.source.run("ALTER TABLE t ALTER a TYPE bigint; INSERT INTO t VALUES (2, 9000000000, 'y')").await?;
    let faults = wait::until("the worker has looked five times, or complains", async || {
        let faults = worker.status().await?.faults;
        Ok((rig.sink.waiting_faults()? == 2 || !faults.is_empty()).then_some(faults))
    })
    .await?;
    assert_eq!(faults, []);
    assert_eq!(rig.loads()?, loads, "rows were sent before the target could hold them");
    rig.source.run("INSERT INTO u VALUES (1)").await?;
    rig.until_table_equal("u").await?;
    assert_eq!(worker.status().await?.faults, []);
    rig.sink.heal()?;
    rig.until_table_equal("t").await?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_rows_have_the_default_of_a_column_that_is_added() -> Result<()> {
    let rig = Rig::of(TABLES, "t,u").await?;
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t SELECT i, i, 'old' FROM generate_series(1, 5) i").await?;
    rig.until_table_equal("t").await?;
    let add = "ALTER TABLE t ADD b boolean DEFAULT true, ADD n numeric(10,2) NOT NULL DEFAULT -1.50, \
               ADD x text DEFAULT 'O''Brien é', ADD e text DEFAULT '', ADD d date DEFAULT '2024-02-29', \
               ADD ts timestamptz DEFAULT now(), ADD f double precision DEFAULT 1e300, ADD nothing int DEFAULT NULL";
    rig.source.run(add).await?;
    rig.source.run("INSERT INTO t (id) VALUES (6); UPDATE t SET x = NULL WHERE id = 2").await?;
    assert_eq!(rig.until_table_equal("t").await?, 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_may_move_from_column_to_column() -> Result<()> {
    let rig = Rig::of(TABLES, "t,u").await?;
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1, 'x'), (2, 2, 'y')").await?;
    for change in [
        "ALTER TABLE t ADD COLUMN a_new bigint",
        "UPDATE t SET a_new = a * 10",
        "BEGIN; ALTER TABLE t RENAME a TO a_old; ALTER TABLE t RENAME a_new TO a; COMMIT",
        "INSERT INTO t VALUES (3, 3, 'z', 30)",
        "ALTER TABLE t DROP COLUMN a_old",
        "INSERT INTO t VALUES (4, 'z', 40)",
    ] {
        rig.source.run(change).await?;
        rig.source.run("UPDATE t SET id = id").await?;
        rig.until_table_equal("t").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_its_own_in_every_earlier_row_halts_the_table_until_a_person_acts() -> Result<()> {
    let rig = Rig::of(TABLES, "t,u").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t SELECT i, i, 'old' FROM generate_series(1, 5) i").await?;
    rig.until_table_equal("t").await?;
    rig.source.run("ALTER TABLE t ADD COLUMN r double precision DEFAULT random()").await?;
    rig.source.run("INSERT INTO t VALUES (6); INSERT INTO u VALUES (1)").await?;
    let fault = worker.until_fault("SourceSchemaChanged").await?;
    assert!(fault.halted && fault.fix.contains("ADD COLUMN `r` DOUBLE NULL"), "{}", fault.fix);
    rig.until_table_equal("u").await?;
    rig.sink.rows(&format!("ALTER TABLE {DATABASE}.t ADD COLUMN `r` DOUBLE NULL")).await?;
    rig.source.run("UPDATE t SET r = r").await?;
    rig.until_table_equal("t").await?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_column_of_the_same_name_halts_the_table_until_a_person_acts() -> Result<()> {
    let rig = Rig::of(TABLES, "t,u").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1, 'x'), (2, 2, 'y')").await?;
    rig.until_table_equal("t").await?;
    rig.source.run("ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN a int").await?;
    rig.source.run("INSERT INTO t VALUES (3, 'z', 3); INSERT INTO u VALUES (1)").await?;
    let fault = worker.until_fault("SourceSchemaChanged").await?;
    assert!(fault.halted && fault.fix.contains("DROP COLUMN `a`"), "{}", fault.fix);
    rig.until_table_equal("u").await?;
    rig.sink.rows(&format!("ALTER TABLE {DATABASE}.t DROP COLUMN `a`")).await?;
    rig.source.run("UPDATE t SET a = a").await?;
    rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_halts_its_table_only() -> Result<()> {
    let rig = Rig::of(TABLES, "t,u").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1, 'x')").await?;
    rig.until_table_equal("t").await?;
    rig.source.run("ALTER TABLE t ALTER a TYPE text; INSERT INTO t VALUES (2, 'two', 'y')").await?;
    rig.source.run("INSERT INTO u VALUES (1)").await?;
    let fault = worker.until_fault("SourceSchemaChanged").await?;
    assert!(
        fault.halted && fault.message.contains("the type of column a has changed from integer to text"),
        "{}",
        fault.message
    );
    rig.until_table_equal("u").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_column_that_no_row_fills_halts_its_table_and_both_remedies_work() -> Result<()> {
    for from in ["run ", ", or "] {
        let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, v text)", "t").await?;
        rig.sink.rows(&format!("CREATE DATABASE {DATABASE}")).await?;
        let create = format!(
            "CREATE TABLE {DATABASE}.t (id INT NOT NULL, v VARCHAR(1048576) NULL, mine INT NOT NULL) \
             PRIMARY KEY (id) DISTRIBUTED BY HASH(id) PROPERTIES (\"replication_num\" = \"1\")"
        );
        rig.sink.rows(&create).await?;
        let mut worker = Worker::start(&rig.settings)?;
        let fault = worker.until_fault("TargetIncompatible").await?;
        assert!(fault.halted && fault.message.contains("column mine"), "{fault:?}");
        let told = fault.fix.split_once(&format!("{from}ALTER TABLE ")).context("a statement")?.1;
        let told = told.split([';', ','].as_slice()).next().unwrap_or_default();
        let told = told.split(" in StarRocks").next().and_then(|told| told.split(" there").next());
        rig.sink.rows(&format!("ALTER TABLE {DATABASE}.{}", told.unwrap_or_default())).await?;
        worker.until_ready().await?;
        rig.source.run("INSERT INTO t VALUES (1, 'x')").await?;
        assert_eq!(rig.until_table_equal("t").await?, 1, "{}", fault.fix);
    }
    Ok(())
}
