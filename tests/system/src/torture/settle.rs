//! The oracle for rounds with seams: every table is equal, or halted with a reason; never different without one.
//!
//! A halted table is then taken anew by the statements of its fault, and must be equal like all others.

use anyhow::{Context, Result, bail, ensure};
use proto::{Fault, StatusResponse};

use super::{arena::Arena, schema, seam};
use crate::{verify, wait, worker::Worker};

/// How often a halted table may report another reason after the first remedy was followed.
const TURNS: usize = 6;

/// Waits until the worker is ready, or every fault is a table halted by a seam.
pub(super) async fn until_settled(worker: &Worker) -> Result<Vec<Fault>> {
    wait::until("the worker is ready, or says which tables it has halted", async || {
        halted(&worker.status().await?).map(Some)
    })
    .await
}

/// The halted tables; an error while there is any other fault.
fn halted(status: &StatusResponse) -> Result<Vec<Fault>> {
    let is_seam = |fault: &Fault| fault.halted && schema::is_seam(&fault.table) && !fault.fix.is_empty();
    ensure!(status.ready || !status.faults.is_empty(), "not ready, and nothing says why");
    ensure!(status.faults.iter().all(is_seam), "faults: {:?}", status.faults);
    Ok(status.faults.clone())
}

/// Without faults and writers, both sides become equal after halted tables were taken anew.
pub(super) async fn settle(arena: &mut Arena) -> Result<u64> {
    arena.heal().await?;
    for _ in 0..TURNS {
        let halted = equal_or_halted(arena).await?;
        if halted.is_empty() {
            return verify::until_equal(&arena.direct).await;
        }
        for fault in &halted {
            *arena.tally.halts.entry(fault.reason.clone()).or_default() += 1;
            seam::follow(arena, fault).await.with_context(|| format!("following {fault:?}"))?;
        }
    }
    bail!("a table is halted whatever is done: {:?}", until_settled(arena.worker()).await?)
}

/// Waits as long as the worker makes progress.
async fn equal_or_halted(arena: &Arena) -> Result<Vec<Fault>> {
    let mut loads = arena.loads()?;
    for _ in 0..TURNS {
        match look(arena, arena.worker()).await {
            Err(_) if arena.loads()? > loads => loads = arena.loads()?,
            outcome => return outcome,
        }
    }
    look(arena, arena.worker()).await
}

/// A table may differ a moment before the worker has checked it, so both are asked until they agree.
pub(super) async fn look(arena: &Arena, worker: &Worker) -> Result<Vec<Fault>> {
    wait::until("every table is equal, or halted with a reason", async || {
        let before = until_settled(worker).await?;
        if !arena.in_one_step || before.is_empty() {
            flowing_are_equal(arena, &before).await?;
        }
        let after = halted(&worker.status().await?)?;
        ensure!(tables(&before) == tables(&after), "halted meanwhile: {after:?}");
        Ok(Some(after))
    })
    .await
}

async fn flowing_are_equal(arena: &Arena, halted: &[Fault]) -> Result<()> {
    let stand_still = tables(halted);
    let all = schema::tables();
    let flowing = all.split(',').filter(|table| !stand_still.contains(&schema::full_name(table)));
    let options: Vec<&str> =
        ["--patience", "5s"].into_iter().chain(flowing.flat_map(|table| ["--table", table])).collect();
    verify::run(&arena.direct, &options).await?.rows().map(drop)
}

fn tables(faults: &[Fault]) -> Vec<String> {
    let mut tables: Vec<_> = faults.iter().map(|fault| fault.table.clone()).collect();
    tables.sort();
    tables
}
