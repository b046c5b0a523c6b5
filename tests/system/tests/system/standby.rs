//! Standbys and failover: the stream continues without loss, or halts where that cannot be proven.

use anyhow::Result;
use system::{source::Source, wait, worker::Worker};
use testbed::postgres::{Embedded, Postgres, PostgresOptions};

use super::rig::Rig;

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, v int)";

async fn on(major: u32) -> Result<Rig> {
    let binaries = Some(Embedded::of(major)?.binaries()?);
    Rig::with(PostgresOptions { binaries, ..PostgresOptions::default() }, ROWS, "t").await
}

/// Makes the standby the rig's source, and the source of workers started from now on.
async fn turn_to(rig: &mut Rig, standby: &Postgres) -> Result<()> {
    let url = standby.url("postgres");
    rig.settings = rig.settings.clone().with("SOURCE_URL", &url);
    rig.source = Source::connect(&url).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_and_its_promotion_survived() -> Result<()> {
    let mut rig = on(16).await?;
    let standby = rig.postgres.standby(&PostgresOptions::default().with("hot_standby_feedback", "on"))?;
    let primary = Source::connect(&rig.postgres.url("postgres")).await?;
    turn_to(&mut rig, &standby).await?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("PublicationMissing").await?;
    assert!(fault.fix.contains("on the primary"), "{}", fault.fix);
    primary.run("CREATE PUBLICATION dbmazz_pub FOR TABLE t").await?;
    // A slot on a standby begins at the next record of running transactions that the primary writes.
    let begun = async || {
        primary.run("SELECT pg_log_standby_snapshot()").await?;
        Ok(worker.status().await?.ready.then_some(()))
    };
    wait::until("the worker streams from the standby", begun).await?;
    primary.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    let arrived = async || Ok(rig.source.value("SELECT id FROM t").await?);
    wait::until("the row is on the standby", arrived).await?;
    rig.until_table_equal("t").await?;
    rig.source.run("SELECT pg_promote()").await?;
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    rig.until_table_equal("t").await?;
    rig.until_confirmed().await?;
    worker.process().kill()?;
    rig.source.run("INSERT INTO t VALUES (3, 3)").await?;
    let _successor = rig.worker().await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_cannot_decode_is_named() -> Result<()> {
    let mut rig = on(14).await?;
    let standby = rig.postgres.standby(&PostgresOptions::default())?;
    turn_to(&mut rig, &standby).await?;
    let fault = Worker::start(&rig.settings)?.until_fault("BadConfiguration").await?;
    assert!(fault.message.contains("standby") && fault.fix.contains("primary"), "{fault:?}");
    Ok(())
}

/// Two servers of version 17; the standby synchronises the job's slot.
async fn pair() -> Result<(Rig, Postgres)> {
    let mut rig = on(17).await?;
    rig.source.run("SELECT pg_create_physical_replication_slot('standby', true)").await?;
    let options = PostgresOptions::default()
        .with("hot_standby_feedback", "on")
        .with("primary_slot_name", "standby")
        .with("sync_replication_slots", "on");
    let standby = rig.postgres.standby(&options)?;
    rig.source = Source::connect(&rig.postgres.url("postgres")).await?;
    Ok((rig, standby))
}

/// Waits until the standby's copy of the slot is permanent, which needs the slot to move past the position of the copy.
async fn until_kept(rig: &Rig, standby: &Source) -> Result<()> {
    let sql =
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'dbmazz_slot' AND synced AND NOT temporary";
    let kept = async || {
        rig.source.run("INSERT INTO t SELECT max(id) + 1, 0 FROM t").await?;
        rig.source.run("SELECT pg_log_standby_snapshot()").await?;
        standby.value(sql).await
    };
    wait::until("the slot is kept on the standby", kept).await?;
    rig.until_table_equal("t").await?;
    rig.until_confirmed().await
}

/// Waits until the standby has received everything of the primary, including its slots.
async fn until_followed(rig: &Rig, standby: &Source) -> Result<()> {
    let at = rig.slot("confirmed_flush_lsn").await?.unwrap_or_default();
    let sql = format!(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'dbmazz_slot' AND synced AND NOT temporary \
         AND confirmed_flush_lsn >= '{at}'"
    );
    wait::until("the slot is synchronised", async || standby.value(&sql).await).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_with_a_synchronised_slot_loses_nothing() -> Result<()> {
    let (mut rig, standby) = pair().await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    let there = Source::connect(&standby.url("postgres")).await?;
    until_kept(&rig, &there).await?;
    worker.process().terminate().await?;
    until_followed(&rig, &there).await?;
    rig.postgres.stop_immediate()?;
    turn_to(&mut rig, &standby).await?;
    rig.source.run("SELECT pg_promote()").await?;
    rig.source.run("INSERT INTO t VALUES (0, 2)").await?;
    let _successor = rig.worker().await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_behind_a_killed_worker_cannot_be_proven_and_stops() -> Result<()> {
    let (mut rig, standby) = pair().await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    let there = Source::connect(&standby.url("postgres")).await?;
    until_kept(&rig, &there).await?;
    worker.process().kill()?;
    until_followed(&rig, &there).await?;
    rig.postgres.stop_immediate()?;
    turn_to(&mut rig, &standby).await?;
    rig.source.run("SELECT pg_promote()").await?;
    let fault = Worker::start(&rig.settings)?.until_fault("ReplicationGap").await?;
    assert!(fault.halted && fault.message.contains("timeline"), "{fault:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_leaves_the_slot_behind_stops() -> Result<()> {
    let mut rig = on(16).await?;
    let standby = rig.postgres.standby(&PostgresOptions::default())?;
    rig.source = Source::connect(&rig.postgres.url("postgres")).await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    worker.process().terminate().await?;
    rig.postgres.stop()?;
    turn_to(&mut rig, &standby).await?;
    rig.source.run("SELECT pg_promote()").await?;
    let fault = Worker::start(&rig.settings)?.until_fault("SlotLost").await?;
    assert!(fault.halted && fault.message.contains("does not exist"), "{fault:?}");
    Ok(())
}
