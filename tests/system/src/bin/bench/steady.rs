//! A steady rate of changes: the time from commit to durable, with loads that take 50 ms.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use system::{sink::Sink, source::Source, worker::Worker};
use testbed::postgres::Postgres;

use crate::{backlog, report::Findings};

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS steady (id bigserial PRIMARY KEY, account integer, note text, changed timestamptz);
    SET synchronous_commit = on";
const TICKS_PER_SECOND: u64 = 100;
const LENGTH: Duration = Duration::from_secs(20);
const LONE_CHANGES: usize = 7;
const QUIET: Duration = Duration::from_secs(2);

/// The commit position of a change, and its time.
pub(crate) type Commit = (u64, Instant);

pub(crate) async fn measure(postgres: &Postgres, findings: &mut Findings) -> Result<()> {
    let sink = Sink::with(&["--discard"]).await?;
    sink.inject(&serde_json::json!({"stage": "commit", "action": {"delay": {"millis": 50}}}))?;
    for (spacing, goal) in [("1000", "≤ 0.6 s, ≤ 1.15 s"), ("100", "≤ 0.12 s, ≤ 0.25 s")] {
        for rate in [1000, 5000] {
            let bed = Bed::new(postgres, &sink, spacing).await?;
            let times = bed.watched(async |source| write(source, rate, "steady").await).await?;
            let what = format!("commit to durable, {rate} changes/s, spacing {spacing} ms: p50, p99");
            findings.add(what, &seconds(&times, &[50, 99]), goal);
        }
    }
    let bed = Bed::new(postgres, &sink, "1000").await?;
    let times = bed.watched(async |source| write_alone(source).await).await?;
    findings.add(
        "commit to durable, a lone change after two quiet seconds: p50",
        &seconds(&times, &[50]),
        "≤ 0.07 s",
    );
    Ok(())
}

/// A worker with a table and a slot of its own.
struct Bed {
    source: Source,
    worker: Worker,
}

impl Bed {
    async fn new(postgres: &Postgres, sink: &Sink, spacing: &str) -> Result<Self> {
        let source = Source::connect(&postgres.url("postgres")).await?;
        source.run(TABLE).await?;
        let settings = backlog::settings_for(postgres, sink, "bench_steady", "steady")?;
        let settings =
            settings.with("FLUSH_INTERVAL_MS", spacing).with("SOURCE_PUBLICATION_NAME", "bench_steady");
        Ok(Self { source, worker: Worker::ready(&settings).await? })
    }

    /// How long each of the commits took to become durable.
    async fn watched(mut self, write: impl AsyncFn(&Source) -> Result<Vec<Commit>>) -> Result<Vec<Duration>> {
        let (times, ()) = watched(&self.worker, async || Ok((write(&self.source).await?, ()))).await?;
        self.worker.process().terminate().await?;
        Ok(times)
    }
}

/// How long each of the commits took to become durable, and what else `write` returns.
pub(crate) async fn watched<T>(
    worker: &Worker,
    write: impl AsyncFn() -> Result<(Vec<Commit>, T)>,
) -> Result<(Vec<Duration>, T)> {
    let over = Arc::new(AtomicBool::new(false));
    let (port, ended) = (worker.http_port(), Arc::clone(&over));
    let watch = tokio::task::spawn_blocking(move || watch(port, &ended));
    let written = write().await;
    tokio::time::sleep(QUIET).await;
    over.store(true, Relaxed);
    let seen = watch.await??;
    let (commits, more) = written?;
    let durable = |(lsn, at): &Commit| {
        let first =
            seen.iter().find(|(durable, _)| durable >= lsn).context("a change never became durable")?;
        Ok(first.1.saturating_duration_since(*at))
    };
    Ok((commits.iter().map(durable).collect::<Result<_>>()?, more))
}

/// The durable position and when it was seen, every few milliseconds.
fn watch(port: u16, over: &AtomicBool) -> Result<Vec<Commit>> {
    let (agent, url) = (ureq::Agent::new_with_defaults(), format!("http://127.0.0.1:{port}/status"));
    let mut seen: Vec<Commit> = Vec::new();
    while !over.load(Relaxed) {
        let text = agent.get(&url).call()?.body_mut().read_to_string()?;
        let status: serde_json::Value = serde_json::from_str(&text)?;
        let lsn =
            status["durable_lsn"].as_str().and_then(|text| text.strip_prefix("0x")).context("a position")?;
        let lsn = u64::from_str_radix(lsn, 16)?;
        if seen.last().is_none_or(|(last, _)| *last < lsn) {
            seen.push((lsn, Instant::now()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(seen)
}

/// Changes at this rate, into a table with the columns of `steady`.
pub(crate) async fn write(source: &Source, rate: u64, table: &str) -> Result<Vec<Commit>> {
    let mut tick = tokio::time::interval(Duration::from_millis(1000 / TICKS_PER_SECOND));
    let (began, mut commits) = (Instant::now(), Vec::new());
    while began.elapsed() < LENGTH {
        tick.tick().await;
        commits.push(commit(source, table, rate / TICKS_PER_SECOND).await?);
    }
    Ok(commits)
}

async fn write_alone(source: &Source) -> Result<Vec<Commit>> {
    let mut commits = Vec::new();
    for _ in 0..LONE_CHANGES {
        tokio::time::sleep(QUIET).await;
        commits.push(commit(source, "steady", 1).await?);
    }
    Ok(commits)
}

async fn commit(source: &Source, table: &str, changes: u64) -> Result<Commit> {
    let rows = format!("SELECT n, 'a note of a change', now() FROM generate_series(1, {changes}) n");
    source.run(&format!("INSERT INTO {table} (account, note, changed) {rows}")).await?;
    let at = Instant::now();
    let lsn = source.value("SELECT pg_current_wal_insert_lsn() - '0/0'").await?.context("a position")?;
    Ok((lsn.parse()?, at))
}

pub(crate) fn seconds(times: &[Duration], percentiles: &[usize]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    let texts: Vec<_> =
        percentiles.iter().map(|percent| format!("{:.3} s", at(*percent).as_secs_f64())).collect();
    texts.join(", ")
}
