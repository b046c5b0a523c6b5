//! Rounds of torture, one seed after another and several at a time, until enough workers were killed; then a report.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::Parser;
use system::torture::{Means, Plan, Switches, Tally, run};
use testbed::progress;
use tokio::{runtime::Handle, task::JoinSet};

/// Breaks everything that can break under live traffic, and compares both sides.
#[derive(Debug, Parser)]
struct Arguments {
    /// End when so many workers were killed
    #[arg(long)]
    kills: Option<u64>,
    /// End after so many minutes
    #[arg(long)]
    minutes: Option<f64>,
    /// The first seed; the others follow
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// End after so many seeds
    #[arg(long)]
    seeds: Option<u64>,
    /// Rounds that run at the same time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Strokes of one round
    #[arg(long, default_value_t = 40)]
    strokes: usize,
    /// Never let a load go on whose sender was killed
    #[arg(long)]
    no_orphans: bool,
    /// Load all tables in one step: consistency Transaction
    #[arg(long)]
    transaction: bool,
    /// Leave the columns of tables as they are
    #[arg(long)]
    no_columns: bool,
    /// Strokes that take minutes, or begin all tables anew, come often
    #[arg(long)]
    rare: bool,
    /// More variables for the worker: NAME=VALUE
    #[arg(long)]
    with: Vec<String>,
    /// Where the report goes, as Markdown
    #[arg(long)]
    report: Option<PathBuf>,
}

impl Arguments {
    fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan::new(seed, self.strokes);
        if self.transaction {
            plan.conditions = plan.conditions.in_one_step();
        }
        let variables = self.with.iter().filter_map(|pair| pair.split_once('='));
        plan.conditions.variables.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Plan {
            means: Means { orphans: !self.no_orphans, rare_often: self.rare, ..Means::ALL },
            switches: Switches { columns: !self.no_columns, ..plan.switches },
            ..plan
        }
    }

    fn is_enough(&self, tally: &Tally, begun: Instant, next: u64) -> bool {
        self.kills.is_some_and(|kills| tally.kills >= kills)
            || self.minutes.is_some_and(|minutes| begun.elapsed().as_secs_f64() >= minutes * 60.0)
            || self.seeds.is_some_and(|seeds| next >= self.first_seed + seeds)
    }

    fn circumstances(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
        format!(
            "Made by `make soak`: {} rounds at a time on {cores} cores, {} strokes each, workers of this checkout \
             (release build), a real PostgreSQL and the StarRocks stand-in. Every round has a seed, and from it its \
             traffic, its strokes and its conditions: soft or hard deletes, a small or large buffer, streaming or \
             reading in chunks, sizes of loads, the version and the mode of StarRocks. `dbmazz verify` compared both \
             sides under way, at the end of each round, and again when everything was confirmed.",
            self.jobs, self.strokes
        )
    }
}

#[tokio::main(worker_threads = 4)]
async fn main() -> ExitCode {
    system::ending::of("soak", repeat().await)
}

async fn repeat() -> Result<()> {
    let arguments = Arc::new(Arguments::parse());
    let ends = arguments.kills.is_some() || arguments.minutes.is_some() || arguments.seeds.is_some();
    ensure!(ends, "say when to end: --kills, --minutes or --seeds");
    let begun = Instant::now();
    let tally = soak(&arguments, begun).await?;
    let text = tally.markdown(begun.elapsed(), &arguments.circumstances());
    if let Some(report) = &arguments.report {
        std::fs::write(report, &text)?;
        progress::say(format!("the report is in {}", report.display()));
    }
    ensure!(tally.different == 0, "{} rounds ended with a difference or a failure", tally.different);
    progress::say(format!("{} kills survived, no difference", tally.kills));
    Ok(())
}

/// A round that fails is counted and reported, and the others continue: they may find more.
async fn soak(arguments: &Arc<Arguments>, begun: Instant) -> Result<Tally> {
    let next = Arc::new(AtomicU64::new(arguments.first_seed));
    let (mut rounds, mut tally) = (JoinSet::new(), Tally::default());
    loop {
        let enough = |tally: &Tally| arguments.is_enough(tally, begun, next.load(Ordering::Relaxed));
        while rounds.len() < arguments.jobs && !enough(&tally) {
            let plan = arguments.plan(next.fetch_add(1, Ordering::Relaxed));
            let runtime = Handle::current();
            // A round has a thread of its own, because it blocks while it waits for processes.
            rounds.spawn_blocking(move || (plan.seed, runtime.block_on(run(&plan))));
        }
        let Some(ended) = rounds.join_next().await else { return Ok(tally) };
        let (seed, outcome) = ended?;
        take(seed, outcome, &mut tally, begun.elapsed());
    }
}

fn take(seed: u64, outcome: Result<Tally>, tally: &mut Tally, elapsed: Duration) {
    match outcome {
        Ok(round) => tally.add(&round),
        Err(error) => {
            tally.different += 1;
            progress::say(format!("seed {seed} FAILED: {error:#}"));
        }
    }
    let Tally { rounds, kills, rows_compared, .. } = tally;
    progress::detail(format!(
        "{:.0} s: seed {seed} done; {rounds} rounds, {kills} kills, {rows_compared} rows compared, {} failures",
        elapsed.as_secs_f64(),
        tally.different
    ));
}
