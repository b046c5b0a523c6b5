//! Sets the source back in time on its timeline, as restoring the snapshot of a volume does.
//!
//! Both sides are equal and everything is confirmed before, so the job is certain to hold changes of a lost history.
//! There are no writes until the worker has reported it, because a server that has written past its old end cannot be
//! told apart. Then the remedy is followed to the letter.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use proto::Fault;
use tokio::{sync::RwLock, time::sleep};

use super::{
    arena::{Arena, DATABASE},
    schema::{self, key_of},
    seam::between,
    settle::{settle, until_settled},
};
use crate::{source::Source, wait};

/// `killed`: the worker is replaced meanwhile, so the new one knows the old history only from what was stored.
pub(super) async fn strike(
    arena: &mut Arena,
    gate: &Arc<RwLock<()>>,
    later: Duration,
    killed: bool,
) -> Result<()> {
    let snapshot = arena.postgres.snapshot()?;
    sleep(later).await;
    let _quiet = gate.write().await;
    settle(arena).await?;
    until_confirmed(arena).await?;
    if killed {
        arena.end_worker()?;
    }
    arena.postgres.set_back(snapshot)?;
    if killed {
        arena.start_worker()?;
    }
    let fault = arena.worker().until_fault("ReplicationGap").await?;
    ensure!(fault.halted && fault.message.contains("set back in time"), "{fault:?}");
    *arena.tally.halts.entry(fault.reason.clone()).or_default() += 1;
    follow(arena, &fault).await.with_context(|| format!("following {fault:?}"))
}

/// Switches to a new WAL segment: its position is beyond what a server that was set back writes by itself.
async fn until_confirmed(arena: &Arena) -> Result<()> {
    let source = Source::connect(&arena.postgres.url("postgres")).await?;
    source.run("SELECT pg_switch_wal()").await?;
    source
        .run("UPDATE ledger SET changed = now(); INSERT INTO small_0 (id) VALUES (99) ON CONFLICT DO NOTHING")
        .await?;
    arena.until_confirmed().await
}

async fn follow(arena: &Arena, fault: &Fault) -> Result<()> {
    for table in schema::tables().split(',') {
        let target = table.replace('.', "__");
        for statement in between(&fault.fix, "being its target, ", ", and after all")?.split(" and then ") {
            let statement =
                statement.replace("`t`", &format!("`{target}`")).replace("'t'", &format!("'{target}'"));
            at_the_sink(arena, &statement).await?;
        }
    }
    at_the_sink(arena, between(&fault.fix, "after all of them ", "; when the job has made")?).await?;
    until_made_again(arena).await?;
    let source = Source::connect(&arena.postgres.url("postgres")).await?;
    for table in schema::tables().split(',') {
        send_again(&source, table, between(&fault.fix, "a column of its key, ", " so that every row")?)
            .await?;
    }
    Ok(())
}

async fn at_the_sink(arena: &Arena, statement: &str) -> Result<()> {
    let statement = ["TABLE IF EXISTS ", "DELETE FROM "]
        .iter()
        .fold(statement.to_owned(), |text, place| text.replacen(place, &format!("{place}`{DATABASE}`."), 1));
    arena.sink.rows(&statement).await.map(drop).with_context(|| statement.clone())
}

async fn until_made_again(arena: &Arena) -> Result<()> {
    wait::until("every target is there again", async || {
        let faults = until_settled(arena.worker()).await?;
        ensure!(faults.is_empty(), "faults: {faults:?}");
        for table in schema::tables().split(',') {
            let target = table.replace('.', "__");
            arena.sink.rows(&format!("SELECT count(*) FROM `{DATABASE}`.`{target}`")).await?;
        }
        Ok(Some(()))
    })
    .await
}

async fn send_again(source: &Source, table: &str, statements: &str) -> Result<()> {
    let identity =
        source.value(&format!("SELECT relreplident FROM pg_class WHERE oid = '{table}'::regclass")).await?;
    let key = key_of(table);
    for statement in statements.split(" and then ") {
        let statement = statement.split(" (of a partitioned").next().unwrap_or_default();
        let statement = statement
            .replacen(" t ", &format!(" {table} "), 1)
            .replace("SET k = k", &format!("SET {key} = {key}"));
        source.run(&statement).await.with_context(|| statement.clone())?;
    }
    if identity.as_deref() == Some("d") {
        source.run(&format!("ALTER TABLE {table} REPLICA IDENTITY DEFAULT")).await?;
    }
    Ok(())
}
