//! One seed: set up, strike, heal, compare.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use fastrand::Rng;
use tokio::{
    sync::RwLock,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    arena::{Arena, DATABASE},
    conditions::Conditions,
    settle::settle,
    stroke::{Means, Stroke},
    tally::Tally,
    traffic::Switches,
    versions::Versions,
    writer::Writer,
};
use crate::verify;

/// The settings of one round.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// The number of strokes.
    pub strokes: usize,
    pub writers: u64,
    pub means: Means,
    pub switches: Switches,
    pub conditions: Conditions,
    /// Where the logs of a round that failed are kept.
    pub logs: PathBuf,
}

impl Plan {
    /// All kinds of strokes and conditions, from this seed.
    pub fn new(seed: u64, strokes: usize) -> Self {
        Self {
            seed,
            strokes,
            writers: 3,
            means: Means::ALL,
            switches: Switches { truncate: true, columns: true },
            conditions: Conditions::of(seed),
            logs: crate::cluster::root().join("target/torture"),
        }
    }
}

/// The longest pause between two strokes.
const LONGEST_PAUSE: u64 = 1200;
/// Both sides are also compared after every so many strokes, because later changes would hide a difference.
const LOOK_AFTER: usize = 8;
/// The pause between two checks of versions.
const LOOK: Duration = Duration::from_millis(200);

/// Runs a round; an error names the seed and the folder of the logs.
pub async fn run(plan: &Plan) -> Result<Tally> {
    let mut arena = Arena::set(&plan.conditions, plan.seed).await?;
    match rounds(plan, &mut arena).await {
        Ok(tally) => Ok(tally),
        Err(error) => {
            let kept = keep(plan, &mut arena, &format!("{error:#}")).await;
            Err(error.context(format!("seed {} failed, its logs are in {}", plan.seed, kept.display())))
        }
    }
}

async fn rounds(plan: &Plan, arena: &mut Arena) -> Result<Tally> {
    let (stop, gate) = (CancellationToken::new(), Arc::clone(&arena.gate));
    let transactions = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for number in 0..plan.writers {
        let seed = plan.seed.wrapping_mul(1000) + number;
        let url = arena.postgres.url("postgres");
        let (gate, transactions) = (Arc::clone(&gate), Arc::clone(&transactions));
        let writer = Writer { url, seed, switches: plan.switches, gate, transactions };
        writers.spawn(writer.run(stop.clone()));
    }
    let mut versions = Versions::default();
    strike(plan, arena, &gate, &mut versions).await?;
    stop.cancel();
    writers.join_all().await;
    compare(plan, arena, &mut versions).await?;
    let mut tally = std::mem::take(&mut arena.tally);
    tally.transactions = transactions.load(Ordering::Relaxed);
    tally.loads = arena.loads()?;
    (tally.version_falls, tally.versions_seen) = (versions.falls, versions.samples);
    Ok(tally)
}

async fn strike(plan: &Plan, arena: &mut Arena, gate: &RwLock<()>, versions: &mut Versions) -> Result<()> {
    let mut random = Rng::with_seed(plan.seed);
    for number in 1..=plan.strokes {
        let until = Instant::now() + Duration::from_millis(random.u64(..LONGEST_PAUSE));
        while Instant::now() < until {
            // Versions cannot be read while the sink is down.
            drop(versions.sample(&arena.sink, DATABASE).await);
            sleep(LOOK.min(until.saturating_duration_since(Instant::now()))).await;
        }
        let stroke = Stroke::next(&mut random, plan.means);
        arena.strike(&stroke).await.with_context(|| format!("at stroke {number}, {stroke:?}"))?;
        if matches!(stroke, Stroke::SetBack { .. }) {
            versions.forget();
        }
        if number % LOOK_AFTER == 0 {
            let _quiet = gate.write().await;
            equal(arena).await.with_context(|| format!("after stroke {number}, {stroke:?}"))?;
        }
    }
    Ok(())
}

/// Without faults and writers, both sides must become equal.
async fn equal(arena: &mut Arena) -> Result<()> {
    arena.tally.rows_compared += settle(arena).await?;
    arena.tally.tables_compared += super::schema::tables().split(',').count() as u64;
    Ok(())
}

async fn compare(plan: &Plan, arena: &mut Arena, versions: &mut Versions) -> Result<()> {
    equal(arena).await?;
    // Equal sides may still get the same changes again, until everything is confirmed.
    arena.until_confirmed().await?;
    arena.sink.until_quiet().await?;
    verify::run(&arena.direct, &["--patience", "5s"]).await?.rows()?;
    versions.sample(&arena.sink, DATABASE).await?;
    versions.check()?;
    arena.look();
    arena.tally.rounds = 1;
    arena.tally.seeds = vec![plan.seed];
    Ok(())
}

/// Writes the logs and rows that the analysis of a failure needs.
async fn keep(plan: &Plan, arena: &mut Arena, error: &str) -> PathBuf {
    arena.look();
    let folder = plan.logs.join(format!("seed-{}", plan.seed));
    let rows = arena.rows().await.unwrap_or_default();
    let stats = arena.sink.stats().map_or_else(|error| error.to_string(), |stats| format!("{stats:#}"));
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| write("error.txt", &format!("{:#?}\n{error}", plan.conditions)))
        .and_then(|()| write("worker.log", &arena.said))
        .and_then(|()| rows.iter().try_for_each(|(name, text)| write(name, text)))
        .and_then(|()| write("starrocks.json", &stats))
        .and_then(|()| copy(&arena.postgres.folder().join("postgres.log"), &folder.join("postgres.log")));
    match written {
        Ok(()) => folder,
        Err(error) => PathBuf::from(format!("nowhere ({error})")),
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::copy(from, to).map(drop)
}
