//! What people see of a copy: its progress, what it waits for, and its faults with a remedy.

use anyhow::{Context, Result, ensure};
use proto::{StatusResponse, TableCopy};
use serde_json::json;
use system::{source::Source, wait, worker::Worker};

use super::rig::Rig;
use super::snapshot::{T, of, until_blocks, until_loaded, until_whole};

/// Waits until the status meets the condition.
async fn until_seen(
    worker: &mut Worker,
    what: &str,
    is_met: impl Fn(&StatusResponse) -> bool,
) -> Result<StatusResponse> {
    let seen = async || {
        let status = worker.status().await?;
        ensure!(is_met(&status), "{status:#?}");
        Ok(Some(status))
    };
    let result = wait::until(what, seen).await;
    result.with_context(|| format!("the worker said:\n{}", worker.process().said()))
}

fn copy_of<'a>(status: &'a StatusResponse, table: &str) -> Option<&'a TableCopy> {
    status.copies.iter().find(|copy| copy.table == format!("public.{table}"))
}

fn waits(status: &StatusResponse, table: &str, what: &str) -> bool {
    copy_of(status, table).is_some_and(|copy| copy.waits.contains(what))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_shows_how_far_it_is_and_what_it_waits_for() -> Result<()> {
    let schema = format!(
        "{T}; CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later SELECT generate_series(1, 900)"
    );
    let mut rig = of(&schema, "t,later", 1).await?;
    rig.settings = rig.settings.clone().with("SNAPSHOT_PARALLEL_WORKERS", "1");
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 10).await?;
    // The stream announces the table's columns with its first change.
    rig.source.run("UPDATE t SET n = 1 WHERE id = 1001").await?;
    until_loaded(&rig, &mut worker, "n = 1", 1).await?;
    rig.sink.inject(&json!({"table": "app.t", "stage": "commit", "action": "hold", "count": 1}))?;
    until_seen(&mut worker, "a load is held", |status| waits(status, "t", "StarRocks")).await?;
    let unseen = rig.commit_unseen("DELETE FROM t WHERE id > 5900").await?;
    rig.sink.heal()?;
    let status = until_seen(&mut worker, "both tables wait", |status| {
        waits(status, "t", "transaction") && waits(status, "later", "its turn")
    })
    .await?;
    ensure!(status.snapshot_active && !status.snapshot_complete && !status.completed, "{status:#?}");
    ensure!(status.snapshot_chunks_done >= 10 && status.snapshot_chunks_total > 150, "{status:#?}");
    let blocks: u64 = status.copies.iter().map(|copy| copy.blocks).sum();
    ensure!(blocks == status.snapshot_chunks_total, "{status:#?}");
    rig.see(unseen).await?;
    until_seen(&mut worker, "a speed and a time are known", |status| {
        copy_of(status, "t").is_some_and(|copy| {
            copy.waits.is_empty()
                && copy.rows > 0
                && copy.bytes > 0
                && copy.rows_per_second > 0.0
                && copy.seconds_left.is_some()
        })
    })
    .await?;
    let page: serde_json::Value = serde_json::from_str(&worker.http("/status")?.1)?;
    let (snapshot, table) = (&page["snapshot"], &page["snapshot"]["tables"][0]);
    ensure!(snapshot["active"] == true && table["percent"].as_u64().is_some_and(|now| now < 100), "{page:#}");
    let metrics = worker.http("/metrics")?.1;
    for name in ["blocks", "blocks_done", "rows", "bytes", "left_seconds", "waits"] {
        ensure!(metrics.contains(&format!("dbmazz_copy_{name}{{table=\"public.")), "{name}: {metrics}");
    }
    for table in ["t", "later"] {
        until_whole(&mut worker, table).await?;
    }
    let status = worker.status().await?;
    ensure!(!status.snapshot_active && status.snapshot_complete && status.copies.is_empty(), "{status:#?}");
    ensure!(status.snapshot_rows_synced == 5_800, "{status:#?}");
    ensure!(status.snapshot_chunks_done == status.snapshot_chunks_total, "{status:#?}");
    rig.until_equal().await?;
    Ok(())
}

/// A role of its own that may read both tables, and the settings of a worker that uses it.
async fn as_reader(rig: &mut Rig) -> Result<()> {
    rig.source
        .run(
            "CREATE ROLE reader LOGIN REPLICATION PASSWORD 'secret'; GRANT SELECT ON t, other TO reader;
             CREATE PUBLICATION dbmazz_pub FOR TABLE ONLY t, ONLY other WITH (publish_via_partition_root = true)",
        )
        .await?;
    let url = rig.postgres.url("postgres");
    let (_, place) = url.split_once('@').context("an address")?;
    rig.settings = rig.settings.clone().with("SOURCE_URL", &format!("postgres://reader:secret@{place}"));
    Ok(())
}

async fn with_another() -> Result<Rig> {
    let other = "CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other SELECT generate_series(1, 900)";
    of(&format!("{T}; {other}"), "t,other", 1).await
}

/// Waits until both tables are copied, and the fault is gone.
async fn until_healed(rig: &Rig, worker: &mut Worker) -> Result<()> {
    until_whole(worker, "t").await?;
    worker.until_ready().await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_role_do_not_keep_a_copy_from_its_rows() -> Result<()> {
    let mut rig = with_another().await?;
    as_reader(&mut rig).await?;
    let role = "ALTER ROLE reader SET";
    rig.source
        .run(&format!("{role} statement_timeout = '1ms'; {role} default_transaction_read_only = on"))
        .await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_healed(&rig, &mut worker).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_hides_rows_is_told_and_the_copy_begins_without_it() -> Result<()> {
    let mut rig = with_another().await?;
    as_reader(&mut rig).await?;
    let policy =
        "CREATE POLICY half ON t TO reader USING (id % 2 = 0); ALTER TABLE t ENABLE ROW LEVEL SECURITY";
    rig.source.run(policy).await?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("SourcePermissionDenied").await?;
    ensure!(fault.table == "public.t" && fault.fix.contains("BYPASSRLS") && !fault.halted, "{fault:?}");
    until_whole(&mut worker, "other").await?;
    let loaded = rig.sink.value("SELECT COUNT(*) FROM app.t").await?;
    ensure!(loaded.as_deref() == Some("0"), "{loaded:?} rows");
    rig.source.run("ALTER ROLE reader BYPASSRLS").await?;
    until_healed(&rig, &mut worker).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_kept_is_told_and_the_other_tables_go_on() -> Result<()> {
    let rig = with_another().await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 10).await?;
    let locking = Source::connect(&rig.postgres.url("postgres")).await?;
    locking.run("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await?;
    let fault = worker.until_fault("SourceTableLocked").await?;
    ensure!(fault.table == "public.t" && !fault.halted && fault.fix.contains("pg_locks"), "{fault:?}");
    until_whole(&mut worker, "other").await?;
    until_seen(&mut worker, "the copy says what it waits for", |status| waits(status, "t", "lock")).await?;
    locking.run("COMMIT").await?;
    until_healed(&rig, &mut worker).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_dropped_during_its_copy_is_told_and_the_other_tables_go_on() -> Result<()> {
    let rig = with_another().await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 10).await?;
    rig.source.run("DROP TABLE t").await?;
    let fault = worker.until_fault("SourceTableMissing").await?;
    ensure!(fault.table == "public.t", "{fault:?}");
    until_whole(&mut worker, "other").await?;
    rig.source.run("INSERT INTO other VALUES (10001)").await?;
    rig.until_table_equal("other").await.with_context(|| worker.process().said())?;
    let tables = vec!["other".to_owned()];
    worker.reload(proto::ReloadConfigRequest { tables, ..Default::default() }).await?;
    worker.until_ready().await?;
    let status = until_seen(&mut worker, "nothing is left to copy", |status| !status.snapshot_active).await?;
    ensure!(status.snapshot_complete, "{status:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_that_keeps_coming_is_told_until_the_copy_is_complete() -> Result<()> {
    let rig = with_another().await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 1).await?;
    let fault = wait::until("the rewrites are told", async || {
        rig.source.run("VACUUM FULL t").await?;
        let faults = worker.status().await?.faults;
        Ok(faults.into_iter().find(|fault| fault.reason == "SourceTableRewritten"))
    })
    .await?;
    ensure!(fault.table == "public.t" && !fault.halted, "{fault:?}");
    until_healed(&rig, &mut worker).await
}
