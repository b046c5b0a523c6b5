//! Changes beside a copy, and a copy that goes on after a crash. StarRocks takes its time: each request of the copied
//! table waits, so that the copy lasts.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use system::{sink::Sink, source::Source, wait, worker::Worker};
use testbed::{postgres::Postgres, progress};

use super::readers::{self, DISCARDING};
use crate::{
    report::Findings,
    steady::{self, seconds},
};

/// The changed columns are those of the steady rate.
const TABLES: &str = "DROP TABLE IF EXISTS copied_steady, other_steady;
    CREATE TABLE copied_steady (id bigserial PRIMARY KEY, account integer, note text, changed timestamptz);
    CREATE TABLE other_steady (id bigserial PRIMARY KEY, account integer, note text, changed timestamptz)";

pub(super) async fn measure(postgres: &Postgres, rows: u64, findings: &mut Findings) -> Result<()> {
    for rate in [1000, 5000] {
        let goals =
            [("copied_steady", "≤ 1.5 s, ≤ 4 s"), ("other_steady", "as without a copy (≤ 1.2 times)")];
        let without = changes(postgres, rows, rate, "other_steady", false).await?;
        findings.add(
            format!("commit to durable, {rate} changes/s, without a copy: p50, p99"),
            &seconds(&without, &[50, 99]),
            "",
        );
        for (table, goal) in goals {
            let times = changes(postgres, rows, rate, table, true).await?;
            let which = if table == "copied_steady" { "the copied table" } else { "another table" };
            let what = format!("commit to durable beside a copy, {rate} changes/s into {which}: p50, p99");
            findings.add(what, &seconds(&times, &[50, 99]), goal);
        }
    }
    restart(postgres, rows, findings).await
}

async fn bed(postgres: &Postgres, rows: u64) -> Result<(Source, Sink)> {
    let source = Source::connect(&postgres.url("postgres")).await?;
    source.run(TABLES).await?;
    source
        .run(&format!(
            "INSERT INTO copied_steady (account, note, changed)
             SELECT n, 'a note of a row that existed', now() FROM generate_series(1, {rows}) n"
        ))
        .await?;
    source.run("VACUUM copied_steady").await?;
    source.run("SET synchronous_commit = on").await?;
    let sink = Sink::with(&DISCARDING).await?;
    sink.inject(&serde_json::json!({"stage": "commit", "action": {"delay": {"millis": 50}}}))?;
    let slow = serde_json::json!({"stage": "continue", "table": "bench.copied_steady", "action": {"delay": {"millis": delay(rows)}}});
    sink.inject(&slow)?;
    Ok((source, sink))
}

/// So long that the copy lasts for all of the changes.
fn delay(rows: u64) -> u64 {
    (500_000_000 / rows.max(1)).clamp(100, 1000)
}

async fn changes(
    postgres: &Postgres,
    rows: u64,
    rate: u64,
    table: &str,
    copies: bool,
) -> Result<Vec<Duration>> {
    progress::say(format!(
        "{rate} changes a second into {table}, {}",
        if copies { "beside a copy" } else { "alone" }
    ));
    let (source, sink) = bed(postgres, rows).await?;
    let tables = if copies { "copied_steady,other_steady" } else { "other_steady" };
    let settings = readers::settings(postgres, &sink, tables, 2)?.with("FLUSH_INTERVAL_MS", "1000");
    let mut worker = Worker::start(&settings)?;
    worker.until_ready().await?;
    if copies {
        readers::until_copying(&mut worker).await?;
    }
    let (times, active) = steady::watched(&worker, async || {
        let commits = steady::write(&source, rate, table).await?;
        Ok((commits, worker.status().await?.snapshot_active))
    })
    .await?;
    ensure!(active || !copies, "the copy has ended before the changes: give it more rows");
    readers::forget(postgres, &mut worker).await?;
    Ok(times)
}

/// From `kill -9` to the COPY of the next chunk.
async fn restart(postgres: &Postgres, rows: u64, findings: &mut Findings) -> Result<()> {
    progress::say("a crash in the middle of a copy");
    let (source, sink) = bed(postgres, rows).await?;
    let mut worker = Worker::start(&readers::settings(postgres, &sink, "copied_steady", 1)?)?;
    readers::until_copying(&mut worker).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = source.value("SELECT now()").await?.unwrap_or_default();
    let crashed = Instant::now();
    worker.crash()?;
    let copying = format!(
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT%' AND state = 'active' AND backend_start > '{before}'"
    );
    wait::until("a chunk is read", async || Ok(source.value(&copying).await?.map(|_| ()))).await?;
    let elapsed = format!("{:.2} s", crashed.elapsed().as_secs_f64());
    findings.add("kill -9 to the next chunk of a copy", &elapsed, "≤ 1 s");
    readers::forget(postgres, &mut worker).await
}
