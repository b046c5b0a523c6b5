//! The demo: starts everything, fills two tables, applies a ReplicationJob, writes traffic to PostgreSQL, and shows on
//! one screen how existing rows and changes arrive in StarRocks.

mod guest;
mod rows;
mod screen;
mod servers;
mod stage;
mod traffic;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Parser;
use system::{verify, worker::Settings, workload};
use tokio::{signal, task::JoinSet};
use tokio_util::sync::CancellationToken;

use screen::Screen;
use stage::Stage;

/// Shows rows travelling from PostgreSQL to StarRocks, in a real Kubernetes.
#[derive(Debug, Parser)]
struct Arguments {
    /// End after so many seconds of traffic, and succeed only if both sides are equal then
    #[arg(long)]
    seconds: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    system::ending::of("demo", run().await)
}

async fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let stage = Stage::set().await?;
    let shown = tokio::select! {
        shown = show(&stage, arguments.seconds.map(Duration::from_secs)) => shown,
        _ = signal::ctrl_c() => Ok(()),
    };
    shown.and(stage.clear())
}

async fn show(stage: &Stage, length: Option<Duration>) -> Result<()> {
    let stop = CancellationToken::new();
    let mut traffic = JoinSet::new();
    traffic.spawn(traffic::run(stage.source_url(), stop.clone()));
    let mut screen = Screen::new(stage).await?;
    let began = Instant::now();
    let is_over = |stage: &Stage| {
        Ok::<_, anyhow::Error>(length.is_some_and(|length| began.elapsed() >= length) && stage.is_copied()?)
    };
    while !traffic.is_empty() && !is_over(stage)? {
        screen.draw().await?;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            Some(ended) = traffic.join_next() => ended??,
        }
    }
    stop.cancel();
    while let Some(ended) = traffic.join_next().await {
        ended??;
    }
    screen.draw().await?;
    compare_at_the_end(stage).await
}

async fn compare_at_the_end(stage: &Stage) -> Result<()> {
    let tables = workload::TABLES.join(",");
    let settings = Settings::outside(&stage.source_url(), stage.sink(), stage::DATABASE, &tables)?;
    let rows = verify::until_equal(&settings).await?;
    writeln!(io::stdout().lock(), "\nboth sides are equal, value by value: {rows} rows of two tables")?;
    Ok(())
}
