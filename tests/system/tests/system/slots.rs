//! A slot that is dropped, moved or out of WAL, at the start and while the stream runs: there is never a silent gap.

use anyhow::Result;
use system::{source::Source, torture::proxy::Proxy, wait, worker::Worker};
use testbed::postgres::{Embedded, Postgres, PostgresOptions};

use super::rig::Rig;

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, v int)";
const SLOT: &str = "dbmazz_slot";

/// Leaves behind a job that has replicated a row and has ended: killed, or drained.
async fn left_behind(rig: &Rig, drained: bool) -> Result<()> {
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    rig.until_confirmed().await?;
    if drained {
        worker.process().terminate().await?;
    } else {
        worker.process().kill()?;
    }
    let free = async || Ok((rig.slot("active").await?.as_deref() == Some("f")).then_some(()));
    wait::until("the slot is free", free).await
}

async fn slots(rig: &Rig) -> Result<Option<String>> {
    rig.source.value("SELECT count(*) FROM pg_replication_slots").await
}

/// Starts a worker that must halt with `reason` and leave source and sink unchanged.
async fn halts(rig: &Rig, reason: &str) -> Result<(Worker, proto::Fault)> {
    let (before, loads) = (slots(rig).await?, rig.loads()?);
    let worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault(reason).await?;
    assert!(fault.halted && fault.fix.contains("DELETE FROM `dbmazz_jobs` WHERE `slot` = '"), "{fault:?}");
    assert_eq!((slots(rig).await?, rig.loads()?), (before, loads));
    Ok((worker, fault))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_dropped_behind_a_job_is_never_made_again_over_the_gap() -> Result<()> {
    for drained in [false, true] {
        let rig = Rig::of(ROWS, "t").await?;
        left_behind(&rig, drained).await?;
        rig.source.run(&format!("SELECT pg_drop_replication_slot('{SLOT}')")).await?;
        rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
        let (mut worker, fault) = halts(&rig, "SlotLost").await?;
        assert!(fault.message.contains("does not exist"), "{}", fault.message);
        // The remedy after the table was copied: the claim is deleted, and the job begins again.
        rig.forget_as_told(&fault).await?;
        worker.until_ready().await?;
        assert_eq!(slots(&rig).await?.as_deref(), Some("1"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_made_anew_by_hand_is_a_gap() -> Result<()> {
    for drained in [false, true] {
        let rig = Rig::of(ROWS, "t").await?;
        left_behind(&rig, drained).await?;
        rig.source.run(&format!("SELECT pg_drop_replication_slot('{SLOT}')")).await?;
        rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
        rig.source.run(&format!("SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")).await?;
        let (_worker, fault) = halts(&rig, "ReplicationGap").await?;
        assert!(fault.message.contains("moved"), "{}", fault.message);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_another_consumer_took_are_a_gap() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    left_behind(&rig, false).await?;
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    // Decoding ends at the flushed WAL.
    rig.source.run("CHECKPOINT").await?;
    let taken = rig
        .source
        .rows(&format!(
            "SELECT lsn FROM pg_logical_slot_get_binary_changes('{SLOT}', NULL, NULL, \
             'proto_version', '1', 'publication_names', 'dbmazz_pub')"
        ))
        .await?;
    assert!(taken.len() > 2);
    halts(&rig, "ReplicationGap").await?;
    Ok(())
}

/// The server skips what another client has taken, without an error, so the slot is looked at again when it is held.
#[tokio::test(flavor = "multi_thread")]
async fn changes_that_another_consumer_took_just_before_the_stream_began_are_a_gap() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    left_behind(&rig, false).await?;
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    let proxy = Proxy::before(rig.postgres.port()).await?;
    proxy.hold("START_REPLICATION");
    let url =
        rig.postgres.url("postgres").replace(&rig.postgres.port().to_string(), &proxy.port().to_string());
    let worker = Worker::start(&rig.settings.clone().with("SOURCE_URL", &url))?;
    proxy.until_held().await?;
    rig.source.run("CHECKPOINT").await?; // a slot is advanced to the flushed WAL at most
    rig.source.run(&format!("SELECT pg_replication_slot_advance('{SLOT}', pg_current_wal_lsn())")).await?;
    proxy.heal();
    let fault = worker.until_fault("ReplicationGap").await?;
    assert!(fault.halted, "{fault:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_dropped_in_mid_stream_halts_the_job_and_every_successor() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    let drop_it = format!(
        "DO $$ BEGIN LOOP BEGIN
           PERFORM pg_terminate_backend(active_pid, 1000) FROM pg_replication_slots WHERE slot_name = '{SLOT}';
           PERFORM pg_drop_replication_slot('{SLOT}'); RETURN;
         EXCEPTION WHEN object_in_use THEN NULL; END; END LOOP; END $$"
    );
    rig.source.run(&drop_it).await?;
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    assert!(worker.until_fault("SlotLost").await?.halted);
    worker.process().kill()?;
    halts(&rig, "SlotLost").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_wal_was_removed_is_lost() -> Result<()> {
    let options =
        PostgresOptions::default().with("max_slot_wal_keep_size", "1MB").with("max_wal_size", "32MB");
    let rig = Rig::with(options, ROWS, "t").await?;
    left_behind(&rig, false).await?;
    let lost = async || {
        let more = "CREATE TABLE IF NOT EXISTS fill (a text); INSERT INTO fill SELECT repeat('x', 500) FROM generate_series(1, 60000)";
        rig.source.run(more).await?;
        rig.source.run("CHECKPOINT").await?;
        Ok((rig.slot("wal_status").await?.as_deref() == Some("lost")).then_some(()))
    };
    wait::until("the slot has lost its WAL", lost).await?;
    halts(&rig, "SlotLost").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_with_a_slot_of_the_same_name_is_a_gap() -> Result<()> {
    let mut rig = Rig::of(ROWS, "t").await?;
    left_behind(&rig, true).await?;
    let other = Postgres::start(PostgresOptions::default())?;
    let source = Source::connect(&other.url("postgres")).await?;
    source.run(ROWS).await?;
    source.run(&format!("SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")).await?;
    rig.settings = rig.settings.clone().with("SOURCE_URL", &other.url("postgres"));
    let worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("ReplicationGap").await?;
    assert!(fault.halted && fault.message.contains("system identifier"), "{fault:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_dropped_on_request_while_the_job_lives_is_lost_until_somebody_begins_anew() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    // The command of any client that knows the port.
    let answer = worker.stop(proto::StopRequest::default()).await?;
    assert!(answer.success && answer.message.contains("SlotLost"), "{}", answer.message);
    assert_eq!(slots(&rig).await?.as_deref(), Some("0"));
    let fault = worker.until_fault("SlotLost").await?;
    assert!(fault.halted, "the stopped worker says it at once");
    drop(worker);
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    let (mut worker, _) = halts(&rig, "SlotLost").await?;
    rig.forget_as_told(&fault).await?;
    worker.until_ready().await?;
    assert_eq!(slots(&rig).await?.as_deref(), Some("1"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_deletes_the_job_releases_its_prior_runs() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    let deleted = proto::StopRequest { release_past: true, ..proto::StopRequest::default() };
    let answer = worker.stop(deleted).await?;
    assert!(answer.success && !answer.message.contains("SlotLost"), "{}", answer.message);
    drop(worker);
    let _anew = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_set_back_in_time_is_a_gap() -> Result<()> {
    let mut rig = Rig::of(ROWS, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    let snapshot = rig.postgres.snapshot()?;
    rig.source = Source::connect(&rig.postgres.url("postgres")).await?;
    rig.source.run("INSERT INTO t SELECT g, g FROM generate_series(2, 2000) g").await?;
    rig.until_table_equal("t").await?;
    rig.until_confirmed().await?;
    rig.postgres.set_back(snapshot)?;
    let fault = worker.until_fault("ReplicationGap").await?;
    assert!(fault.halted && fault.message.contains("set back in time"), "{}", fault.message);
    worker.process().kill()?;
    rig.source = Source::connect(&rig.postgres.url("postgres")).await?;
    let (mut worker, fault) = halts(&rig, "ReplicationGap").await?;
    assert!(fault.message.contains("set back in time"), "{}", fault.message);
    // The remedy in its order: the target, then its history, then the job's claims.
    assert!(fault.fix.contains("take every table anew"), "{}", fault.fix);
    for statement in
        ["DROP TABLE IF EXISTS `app`.`t` FORCE", "DELETE FROM `app`.`dbmazz_tables` WHERE `target` = 't'"]
    {
        let said = statement.replace("`app`.", "");
        assert!(fault.fix.contains(&said), "{said} in {}", fault.fix);
        rig.sink.rows(statement).await?;
    }
    rig.forget_as_told(&fault).await?;
    worker.until_ready().await?;
    rig.source.run("ALTER TABLE t REPLICA IDENTITY FULL").await?;
    rig.source.run("UPDATE t SET id = id").await?;
    rig.until_table_equal("t").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_of_the_slot_is_told_while_all_is_well_and_when_it_is_not() -> Result<()> {
    let options = PostgresOptions {
        binaries: Some(Embedded::of(17)?.binaries()?),
        ..PostgresOptions::default().with("max_slot_wal_keep_size", "64MB").with("max_wal_size", "32MB")
    };
    let rig = Rig::with(options, ROWS, "t").await?;
    let worker = rig.worker().await?;
    let healthy = async || Ok(worker.status().await?.slot);
    let health = wait::until("the slot was looked at", healthy).await?;
    assert_eq!((health.wal_status.as_str(), health.at_risk), ("reserved", false));
    assert!(health.safe_wal_bytes.is_some() && health.inactive_seconds.is_none(), "{health:?}");
    let metrics = worker.http("/metrics")?.1;
    for line in [
        "dbmazz_slot_wal_status{status=\"reserved\"} 1",
        "dbmazz_slot_at_risk 0",
        "dbmazz_slot_safe_wal_bytes",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    // While the worker is paused, the slot keeps its position and the server writes more WAL.
    assert!(worker.pause().await?.success);
    let at_risk = async || {
        let more = "CREATE TABLE IF NOT EXISTS fill (a text); INSERT INTO fill SELECT repeat('x', 500) FROM generate_series(1, 20000)";
        if rig.slot("wal_status").await?.as_deref() == Some("reserved") {
            rig.source.run(more).await?;
        }
        Ok(worker.status().await?.slot.filter(|slot| slot.at_risk))
    };
    let health = wait::until("the risk is told", at_risk).await?;
    assert_ne!(health.wal_status, "reserved", "{health:?}");
    Ok(())
}
