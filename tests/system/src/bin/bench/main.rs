//! The benchmarks: throughput, delay, memory and idle cost, by one command.
//!
//! The backlog is read by the whole worker into a discarding sink, by streaming and in catch-up mode, and by
//! `pg_recvlogical` to /dev/null. Each reads a copy of one replication slot, in turn, so that other load of the machine
//! affects all. Absolute figures differ between machines; the ratio of one run does not.

mod backlog;
mod bulk;
mod crowd;
mod measure;
mod report;
mod snapshot;
mod steady;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use system::sink::Sink;
use testbed::{
    postgres::{Postgres, PostgresOptions},
    progress,
};

use backlog::Backlog;
use measure::Way;
use report::{Findings, Report, Round};

/// Measures the worker: against pg_recvlogical on the same backlog, at a steady rate, idle, and its memory.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; all unless given
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Changes in the backlog: 70 % insert, 20 % update, 10 % delete, transactions of 100
    #[arg(long, default_value_t = 1_000_000)]
    changes: u64,
    /// How often each reader drains it, in turn
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// Rows of each table that is copied
    #[arg(long, default_value_t = 5_000_000)]
    rows: u64,
    /// Readers reach the server by TLS
    #[arg(long)]
    tls: bool,
    /// Gigabytes of one giant transaction, by both ways; none unless given
    #[arg(long)]
    giant: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A backlog, against pg_recvlogical
    Backlog,
    /// From commit to durable at a steady rate
    Steady,
    /// One idle worker and forty
    Idle,
    /// Memory under wide rows and forty tables
    Bulk,
    /// The copy of existing rows, against plain COPY
    Snapshot,
}

#[tokio::main]
async fn main() -> ExitCode {
    system::ending::of("bench", run().await)
}

async fn run() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.changes >= 1000 && arguments.pairs >= 1, "at least 1000 changes and one pair");
    let alone = arguments.only.is_empty() && arguments.giant.is_some();
    let wanted = |part| arguments.only.contains(&part) || (arguments.only.is_empty() && !alone);
    let postgres = Postgres::start(PostgresOptions { tls: arguments.tls, ..settings() })?;
    let sink = Sink::with(&["--discard"]).await?;
    let mut findings = Findings::default();
    if wanted(Part::Backlog) {
        read_backlog(&arguments, &postgres, &sink).await?;
    }
    if wanted(Part::Steady) {
        progress::say("a steady rate");
        steady::measure(&postgres, &mut findings).await?;
    }
    if wanted(Part::Idle) {
        progress::say("idle workers");
        crowd::measure(&postgres, &sink, &mut findings).await?;
    }
    if wanted(Part::Bulk) {
        bulk::measure(&postgres, &mut findings).await?;
    }
    if wanted(Part::Snapshot) {
        snapshot::measure(&postgres, arguments.rows, arguments.pairs, &mut findings).await?;
    }
    if let Some(gigabytes) = arguments.giant {
        bulk::giant(&postgres, gigabytes, &mut findings).await?;
    }
    findings.print()
}

async fn read_backlog(arguments: &Arguments, postgres: &Postgres, sink: &Sink) -> Result<()> {
    progress::say(format!("making a backlog of {} changes", arguments.changes));
    let backlog = Backlog::make(postgres, sink, arguments.changes).await?;
    let mut report = Report::new(arguments.changes, postgres.version()?);
    for pair in 1..=arguments.pairs {
        progress::say(format!("round {pair} of {}", arguments.pairs));
        let stream = measure::worker(postgres, sink, &backlog, Way::Stream).await?;
        let catch_up = measure::worker(postgres, sink, &backlog, Way::CatchUp).await?;
        let reference = measure::reference(postgres, &backlog).await?;
        report.add(Round { stream, catch_up, reference });
    }
    backlog.forget(postgres).await?;
    report.print()
}

fn settings() -> PostgresOptions {
    PostgresOptions::default()
        .with("shared_buffers", "256MB")
        .with("max_wal_size", "8GB")
        .with("max_replication_slots", "60")
        .with("max_wal_senders", "60")
        .with("autovacuum", "off")
        .with("synchronous_commit", "off")
}
