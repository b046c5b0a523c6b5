//! One copy of tables: by `psql`, to nowhere, and by a worker into a discarding stand-in.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use system::{
    process::Process,
    sink::Sink,
    source::Source,
    worker::{Settings, Worker},
};
use testbed::{postgres::Postgres, progress};

use crate::{backlog, crowd::mib, measure, report::Findings};

const SLOT: &str = "bench_copy";
/// The worker's own tables are kept: in them is how far a copy has come.
pub(super) const DISCARDING: [&str; 3] = ["--discard", "--keep", "dbmazz_"];
const LIMIT: Duration = Duration::from_secs(1800);

/// The figures of a worker's copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    /// From the first chunk to the last.
    pub(super) elapsed: Duration,
    pub(super) cpu: Duration,
    pub(super) peak_memory: u64,
    /// Versions of the tables.
    pub(super) loads: u64,
    pub(super) bytes: u64,
}

impl Copy {
    pub(super) fn ratio_to(&self, plain: &Duration) -> f64 {
        plain.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// How long `COPY … TO STDOUT` takes, each table on a connection of its own.
pub(super) async fn plain(postgres: &Postgres, tables: &[&str]) -> Result<Duration> {
    let began = Instant::now();
    let mut copies = tables.iter().map(|table| psql(postgres, table)).collect::<Result<Vec<_>>>()?;
    for copy in &mut copies {
        while copy.ended()?.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ensure!(copy.ended()?.is_some_and(|status| status.success()), "{}", copy.said());
    }
    Ok(began.elapsed())
}

fn psql(postgres: &Postgres, table: &str) -> Result<Process> {
    let mut command = Command::new("psql");
    let mode = if postgres.ca_certificate().is_some() { "require" } else { "disable" };
    command.env("PGPASSWORD", postgres.password()).env("PGSSLMODE", mode);
    command.args(["-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-X", "-q", "-o", "/dev/null"]);
    command.arg(format!("--port={}", postgres.port())).arg("-c").arg(format!("COPY {table} TO STDOUT"));
    Process::start("psql", &mut command)
}

/// The settings of a worker that copies `tables`.
pub(super) fn settings(postgres: &Postgres, sink: &Sink, tables: &str, at_once: usize) -> Result<Settings> {
    let settings = backlog::settings_for(postgres, sink, SLOT, tables)?;
    Ok(settings
        .with("SOURCE_PUBLICATION_NAME", SLOT)
        .with("DBMAZZ_BUFFER", "32Mi")
        .with("DO_SNAPSHOT", "true")
        .with("SNAPSHOT_PARALLEL_WORKERS", &at_once.to_string()))
}

pub(super) async fn worker(postgres: &Postgres, tables: &[&str]) -> Result<Copy> {
    let sink = Sink::with(&DISCARDING).await?;
    let mut worker = Worker::start(&settings(postgres, &sink, &tables.join(","), tables.len())?)?;
    let began = until_copying(&mut worker).await?;
    while worker.status().await?.snapshot_active {
        ensure!(worker.process().ended()?.is_none(), "the worker ended: {}", worker.process().said());
        ensure!(began.elapsed() < LIMIT, "the copy is too slow");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let elapsed = began.elapsed();
    let (cpu, peak_memory) = measure::usage(worker.pid()).context("the worker has ended")?;
    let taken = measure::taken(&sink)?;
    forget(postgres, &mut worker).await?;
    Ok(Copy { elapsed, cpu, peak_memory, loads: taken.loads, bytes: taken.body_bytes })
}

/// Waits for the first chunk.
pub(super) async fn until_copying(worker: &mut Worker) -> Result<Instant> {
    let began = Instant::now();
    loop {
        ensure!(began.elapsed() < LIMIT, "no copy begins: {}", worker.process().said());
        if worker.status().await.is_ok_and(|status| status.snapshot_active) {
            return Ok(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Ends the worker and drops what it has made.
pub(super) async fn forget(postgres: &Postgres, worker: &mut Worker) -> Result<()> {
    worker.process().terminate().await?;
    measure::drop_slot(postgres, SLOT).await?;
    Source::connect(&postgres.url("postgres")).await?.run(&format!("DROP PUBLICATION {SLOT}")).await
}

/// Memory with rows of a megabyte.
pub(super) async fn wide(postgres: &Postgres, source: &Source, findings: &mut Findings) -> Result<()> {
    progress::say("rows of a megabyte");
    source
        .run(
            "DROP TABLE IF EXISTS copied_wide; CREATE TABLE copied_wide (id bigint PRIMARY KEY, note text);
             INSERT INTO copied_wide SELECT id, repeat(md5(id::text), 31000) FROM generate_series(1, 400) id",
        )
        .await?;
    let copy = worker(postgres, &["copied_wide"]).await?;
    findings.add(
        "copy of rows of 1 MB: peak resident memory, buffer 32 MiB",
        &mib(copy.peak_memory),
        "≤ 42 MiB",
    );
    Ok(())
}
