//! What people see of a copy: its progress, what it waits for, and its faults with a remedy.

use anyhow::{Context, Result, ensure};
use proto::{StatusResponse, TableCopy};
use serde_json::json;
use system::{wait, worker::Worker};

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
