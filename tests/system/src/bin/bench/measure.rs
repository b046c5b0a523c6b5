//! One run of each reader, with the CPU time and memory of its process.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use system::{
    process::Process,
    sink::Sink,
    source::Source,
    wait,
    worker::{Settings, Worker},
};
use testbed::postgres::Postgres;

use crate::backlog::{Backlog, PUBLICATION, settings};

const DRAIN_LIMIT: Duration = Duration::from_secs(1800);

/// The figures of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) elapsed: Duration,
    /// User and system time of the process.
    pub(crate) cpu: Duration,
    /// The highest resident memory, bytes.
    pub(crate) peak_memory: u64,
    /// `None` for the reference.
    pub(crate) taken: Taken,
}

/// What the sink has received, by loads of the job's tables.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) body_bytes: u64,
    pub(crate) rows: u64,
    pub(crate) loads: u64,
    tables: u64,
}

impl Run {
    /// Loads per table and second, averaged over the tables that had any.
    pub(crate) fn loads_of_a_table(&self) -> f64 {
        self.taken.loads as f64 / self.taken.tables.max(1) as f64 / self.elapsed.as_secs_f64()
    }
}

/// How the worker reads the backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Stream,
    CatchUp,
}

pub(crate) async fn worker(postgres: &Postgres, sink: &Sink, backlog: &Backlog, way: Way) -> Result<Run> {
    let slot = backlog.slot(postgres).await?;
    let run = drained(&settings(postgres, sink, &slot)?, sink, way, backlog.end).await?;
    drop_slot(postgres, &slot).await?;
    Ok(run)
}

/// Runs a worker until its slot is confirmed up to `end`.
pub(crate) async fn drained(settings: &Settings, sink: &Sink, way: Way, end: u64) -> Result<Run> {
    let before = taken(sink)?;
    let began = Instant::now();
    let above = if way == Way::Stream { "Never" } else { "16Mi" };
    let mut worker = Worker::start(&settings.clone().with("DBMAZZ_CATCH_UP", above))?;
    while worker.status().await.map_or(0, |status| status.confirmed_lsn) < end {
        anyhow::ensure!(worker.process().ended()?.is_none(), "the worker ended: {}", worker.process().said());
        anyhow::ensure!(began.elapsed() < DRAIN_LIMIT, "the worker is too slow");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let elapsed = began.elapsed();
    let (cpu, peak_memory) = usage(worker.pid()).context("the worker has ended")?;
    let taken = taken(sink)?.since(before);
    worker.process().terminate().await?;
    Ok(Run { elapsed, cpu, peak_memory, taken })
}

/// Starts a worker that creates slot, publication and targets, and stops it.
pub(crate) async fn set_up(settings: &Settings) -> Result<()> {
    Worker::ready(settings).await?.process().terminate().await?;
    Ok(())
}

pub(crate) async fn reference(postgres: &Postgres, backlog: &Backlog) -> Result<Run> {
    let slot = backlog.slot(postgres).await?;
    let mut command = Command::new("pg_recvlogical");
    command.env("PGPASSWORD", postgres.password()).args([
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-d",
        "postgres",
    ]);
    command.arg(format!("--port={}", postgres.port())).arg(format!("--slot={slot}"));
    command.args(["--start", "--no-loop", "--file=/dev/null", "--option=proto_version=1"]);
    command
        .arg(format!("--option=publication_names={PUBLICATION}"))
        .arg(format!("--endpos={}", backlog.end_text));
    let began = Instant::now();
    let mut process = Process::start("pg_recvlogical", &mut command)?;
    let mut seen = (Duration::ZERO, 0);
    // Polled until it ends: the figures of an ended process cannot be read.
    while process.ended()?.is_none() {
        seen = usage(process.pid()).unwrap_or(seen);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let elapsed = began.elapsed();
    anyhow::ensure!(process.ended()?.is_some_and(|status| status.success()), "{}", process.said());
    drop_slot(postgres, &slot).await?;
    Ok(Run { elapsed, cpu: seen.0, peak_memory: seen.1, taken: Taken::default() })
}

/// What the sink has received so far, without the worker's own tables.
pub(crate) fn taken(sink: &Sink) -> Result<Taken> {
    let stats = sink.stats()?;
    let tables = stats["tables"].as_object().into_iter().flatten();
    let tables = tables.filter(|(name, _)| !name.contains("dbmazz_")).map(|(_, table)| table);
    Ok(tables.fold(Taken::default(), |sum, table| {
        let number = |key: &str| table[key].as_u64().unwrap_or(0);
        Taken {
            body_bytes: sum.body_bytes + number("bytes_loaded"),
            rows: sum.rows + number("rows_loaded"),
            loads: sum.loads + number("loads"),
            tables: sum.tables + 1,
        }
    }))
}

impl Taken {
    fn since(self, before: Self) -> Self {
        Self {
            body_bytes: self.body_bytes - before.body_bytes,
            rows: self.rows - before.rows,
            loads: self.loads - before.loads,
            tables: self.tables,
        }
    }
}

pub(crate) async fn drop_slot(postgres: &Postgres, slot: &str) -> Result<()> {
    let source = Source::connect(&postgres.url("postgres")).await?;
    wait::until("the slot is free", async || {
        source.run(&format!("SELECT pg_drop_replication_slot('{slot}')")).await.map(Some)
    })
    .await
}

pub(crate) fn usage(pid: u32) -> Option<(Duration, u64)> {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain blanks; the fields after its bracket do not.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes = peak.split_whitespace().next()?.parse::<u64>().ok()?;
    Some((Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND), kilobytes * 1024))
}
