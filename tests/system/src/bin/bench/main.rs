//! Catch-up of a backlog: the whole worker into a discarding sink, against `pg_recvlogical` draining the
//! same backlog to nowhere: once by streaming, once in catch-up mode.
//!
//! Each reads a copy of one replication slot, in turn, so that what the machine does meanwhile falls on all. Absolute figures wobble from machine to machine; the ratio in one run does not.

mod backlog;
mod measure;
mod report;

use anyhow::{Result, ensure};
use clap::Parser;
use system::sink::Sink;
use testbed::{
    postgres::{Postgres, PostgresOptions},
    progress,
};

use backlog::Backlog;
use measure::Way;
use report::{Report, Round};

/// Measures the worker against pg_recvlogical on the same backlog.
#[derive(Debug, Parser)]
struct Arguments {
    /// Changes in the backlog: 70 % insert, 20 % update, 10 % delete, transactions of 100
    #[arg(long, default_value_t = 1_000_000)]
    changes: u64,
    /// How often each reader drains it, in turn
    #[arg(long, default_value_t = 3)]
    pairs: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.changes >= 1000 && arguments.pairs >= 1, "at least 1000 changes and one pair");
    let postgres = Postgres::start(settings())?;
    let sink = Sink::with(&["--discard"]).await?;
    progress::say(format!("making a backlog of {} changes", arguments.changes));
    let backlog = Backlog::make(&postgres, &sink, arguments.changes).await?;
    let mut report = Report::new(arguments.changes, postgres.version()?);
    report.idle(measure::idle(&postgres, &sink, &backlog).await?);
    for pair in 1..=arguments.pairs {
        progress::say(format!("round {pair} of {}", arguments.pairs));
        let stream = measure::worker(&postgres, &sink, &backlog, Way::Stream).await?;
        let catch_up = measure::worker(&postgres, &sink, &backlog, Way::CatchUp).await?;
        let reference = measure::reference(&postgres, &backlog).await?;
        report.add(Round { stream, catch_up, reference });
    }
    report.print()
}

fn settings() -> PostgresOptions {
    PostgresOptions::default()
        .with("shared_buffers", "256MB")
        .with("max_wal_size", "8GB")
        .with("max_replication_slots", "50")
        .with("autovacuum", "off")
        .with("synchronous_commit", "off")
}
