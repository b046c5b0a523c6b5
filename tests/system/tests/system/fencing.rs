//! Two workers of one job, in sequence or at the same time: the loads of the first never damage those of the second.

use anyhow::Result;
use serde_json::json;
use system::{wait, worker::Worker};
use testbed::postgres::PostgresOptions;

use super::rig::{DATABASE, Rig};

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, v int)";

#[tokio::test(flavor = "multi_thread")]
async fn rule_10_a_load_left_in_flight_never_overwrites_newer_rows() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    // StarRocks has the whole body; only the commit is missing.
    rig.inject("commit", json!("hold"), 1)?;
    rig.source.run("UPDATE t SET v = 2").await?;
    rig.sink.until_struck().await?;
    worker.process().kill()?;
    rig.source.run("UPDATE t SET v = 3").await?;
    let _successor = rig.worker().await?;
    rig.until_table_equal("t").await?;
    rig.sink.heal()?;
    rig.sink.until_quiet().await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_10_a_worker_that_drained_makes_nobody_wait() -> Result<()> {
    let mut rig = Rig::of(ROWS, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    worker.process().terminate().await?;
    let standing = format!("SELECT standing FROM {DATABASE}.dbmazz_jobs WHERE lsn <> ''");
    assert_eq!(rig.sink.rows(&standing).await?, [[Some("ended".to_owned())]]);
    rig.settings = rig.settings.clone().elsewhere()?;
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    let _successor = rig.worker().await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_10_a_successor_without_the_journal_of_a_killed_worker_waits_and_says_so() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    worker.process().kill()?;
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    let loads = rig.loads()?;
    let mut elsewhere = Worker::start(&rig.settings.clone().elsewhere()?)?;
    let fault = elsewhere.until_fault("PredecessorLoading").await?;
    assert!(fault.fix.contains("DBMAZZ_STATE_DIR"), "{}", fault.fix);
    assert_eq!(rig.loads()?, loads, "nothing is loaded before the last load of the first must have ended");
    // With the state directory there is no wait, even after another worker has tried in between.
    elsewhere.process().kill()?;
    let _successor = rig.worker().await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_not_load_yet_is_not_ready() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    // A load of its own claims the right to load.
    let claim = json!({"table": "app.dbmazz_jobs", "stage": "commit", "action": "hold", "count": 1});
    rig.sink.inject(&claim)?;
    let mut worker = Worker::start(&rig.settings)?;
    rig.sink.until_struck().await?;
    assert!(!worker.status().await?.ready);
    let (code, told) = worker.http("/readyz")?;
    assert!(code == 503 && told.contains("\"Starting\""), "{code} {told}");
    rig.sink.heal()?;
    worker.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_4_what_is_read_again_in_other_batches_is_loaded_again() -> Result<()> {
    let mut rig = Rig::of(&format!("{ROWS}; CREATE TABLE u (id int PRIMARY KEY)"), "t,u").await?;
    let cut_after = |rig: &Rig, rows: &str| rig.settings.clone().with("FLUSH_SIZE", rows);
    rig.settings = cut_after(&rig, "1");
    let mut worker = rig.worker().await?;
    // While this load is open, nothing is confirmed.
    rig.sink.inject(&json!({"table": "app.u", "stage": "commit", "action": "hold"}))?;
    rig.source.run("INSERT INTO u VALUES (1)").await?;
    for change in
        ["INSERT INTO t VALUES (1, 1)", "INSERT INTO t VALUES (2, 0)", "UPDATE t SET v = 2 WHERE id = 1"]
    {
        rig.source.run(change).await?;
    }
    rig.until_table_equal("t").await?;
    worker.process().kill()?;
    rig.sink.heal()?;
    // The first two changes now make one batch, with an older row than the one in the target; the third change makes
    // the same batch as before.
    rig.settings = cut_after(&rig, "2");
    let _successor = rig.worker().await?;
    rig.until_confirmed().await?;
    rig.until_equal().await?;
    Ok(())
}

/// Waits longer than other helpers: a successor without the state directory waits for minutes.
async fn ready_after_the_wait(worker: &mut Worker) -> Result<()> {
    worker.until_fault("PredecessorLoading").await?;
    for _ in 0..2 {
        if worker.until_ready().await.is_ok() {
            return Ok(());
        }
    }
    worker.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_10_a_worker_that_was_stopped_for_minutes_overwrites_nothing_of_its_successor() -> Result<()> {
    let options = PostgresOptions::default().with("wal_sender_timeout", "3s");
    let rig = Rig::with(options, ROWS, "t").await?;
    let mut sleeper = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    // One load is in flight, and an older row is queued behind it.
    rig.inject("commit", json!("hold"), 1)?;
    rig.source.run("UPDATE t SET v = 2").await?;
    rig.sink.until_struck().await?;
    rig.source.run("UPDATE t SET v = 3").await?;
    let received = async || Ok((sleeper.status().await?.pending_events >= 2).then_some(()));
    wait::until("the older row is in the worker", received).await?;
    sleeper.process().freeze()?;
    rig.sink.heal()?;
    let elsewhere = rig.settings.clone().elsewhere()?.on_free_ports()?;
    let mut successor = Worker::start(&elsewhere)?;
    rig.source.run("UPDATE t SET v = 4").await?;
    ready_after_the_wait(&mut successor).await?;
    system::verify::until_tables_equal(&elsewhere, &["t"]).await?;
    let loads = rig.loads()?;
    sleeper.process().wake()?;
    // The worker has tried to get the slot back and has found that another one holds it.
    sleeper.until_fault("SlotInUse").await?;
    assert_eq!(rig.loads()?, loads, "who was asleep has loaded nothing");
    system::verify::until_tables_equal(&elsewhere, &["t"]).await?;
    // The worker gets the slot back and finds the claim of the successor, which is now its predecessor.
    successor.process().kill()?;
    sleeper.until_fault("PredecessorLoading").await?;
    assert_eq!(rig.loads()?, loads);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_while_it_prepares_keeps_the_slot_until_its_session_is_ended_as_the_fault_says()
-> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    let hold = json!({"stage": "statement", "label": "CREATE TABLE IF NOT EXISTS `t` *", "count": 1, "action": "hold"});
    rig.sink.inject(&hold)?;
    let mut sleeper = Worker::start(&rig.settings)?;
    rig.sink.until_struck().await?;
    sleeper.process().freeze()?;
    rig.sink.heal()?;
    let elsewhere = rig.settings.clone().elsewhere()?.on_free_ports()?;
    let successor = Worker::start(&elsewhere)?;
    let fault = successor.until_fault("SlotInUse").await?;
    let process = fault.message.rsplit(' ').next().unwrap_or_default();
    assert!(fault.fix.contains("pg_terminate_backend"), "{}", fault.fix);
    rig.source.run(&format!("SELECT pg_terminate_backend({process})")).await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    system::verify::until_tables_equal(&elsewhere, &["t"]).await?;
    sleeper.process().wake()?;
    sleeper.until_fault("SlotInUse").await?;
    system::verify::until_tables_equal(&elsewhere, &["t"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_10_a_journal_from_before_the_machine_went_down_proves_nothing() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    worker.process().kill()?;
    for slot in std::fs::read_dir(rig.settings.state_directory())? {
        std::fs::write(slot?.path().join("boot"), "another boot")?;
    }
    let successor = Worker::start(&rig.settings)?;
    successor.until_fault("PredecessorLoading").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_leaves_a_table_behind_does_not_say_that_it_ended_in_order() -> Result<()> {
    let mut rig = Rig::of(&format!("{ROWS}; CREATE TABLE u (id int PRIMARY KEY, a int)"), "t,u").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1); INSERT INTO u VALUES (1, 1)").await?;
    rig.until_equal().await?;
    rig.source.run("ALTER TABLE u ALTER a TYPE text; INSERT INTO u VALUES (2, 'two')").await?;
    worker.until_fault("SourceSchemaChanged").await?;
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    rig.until_table_equal("t").await?;
    let answer = worker.drain().await?;
    assert!(!answer.success && answer.message.contains("not everything"), "{}", answer.message);
    worker.process().terminate().await?;
    let standing = format!("SELECT standing FROM {DATABASE}.dbmazz_jobs WHERE lsn <> ''");
    assert_eq!(rig.sink.rows(&standing).await?, [[Some("quiet".to_owned())]]);
    // Still no load is in flight, so the successor does not wait.
    rig.settings = rig.settings.clone().elsewhere()?;
    let _successor = Worker::start(&rig.settings)?;
    rig.source.run("INSERT INTO t VALUES (3, 3)").await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

/// Whether another worker could take the lock of the slot.
async fn is_free(rig: &Rig) -> Result<bool> {
    let key = "hashtextextended('dbmazz slot dbmazz_slot', 0)";
    let taken = rig.source.value(&format!("SELECT pg_try_advisory_lock({key})")).await?;
    rig.source.run("SELECT pg_advisory_unlock_all()").await?;
    Ok(taken.as_deref() == Some("t"))
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_10_nothing_at_the_sink_is_altered_while_another_worker_could_load() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, a text)", "t").await?;
    for (change, statement) in
        [("SELECT 1", "CREATE TABLE*`t`*"), ("ALTER TABLE t RENAME a TO b", "ALTER TABLE*")]
    {
        rig.source.run(change).await?;
        rig.sink.inject(&json!({"stage": "statement", "label": statement, "action": "hold", "count": 1}))?;
        let mut worker = Worker::start(&rig.settings)?;
        rig.sink.until_struck().await?;
        assert!(!is_free(&rig).await?, "another worker could load during {statement}");
        rig.sink.heal()?;
        worker.until_ready().await?;
        worker.process().terminate().await?;
    }
    Ok(())
}
