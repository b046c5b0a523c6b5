//! Two workers of one job, one after the other or at once: the loads of the first never harm those of the second.

use anyhow::Result;
use serde_json::json;
use system::worker::Worker;

use super::rig::{DATABASE, Rig};

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, v int)";

#[tokio::test(flavor = "multi_thread")]
async fn rule_10_a_load_left_in_the_air_never_overwrites_newer_rows() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    // The body is at StarRocks whole; only the commit is still to come.
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
async fn rule_10_a_successor_without_the_notes_of_a_killed_worker_waits_and_says_so() -> Result<()> {
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
    // With the notes there is no wait, whoever was there meanwhile.
    elsewhere.process().kill()?;
    let _successor = rig.worker().await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_not_load_yet_is_not_ready() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    // The right to load is claimed by a load of its own.
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
    // As long as this load is open, nothing is confirmed.
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
    // The first two changes make the first batch now, with an older row than the one that is there; the third
    // makes the same batch as before.
    rig.settings = cut_after(&rig, "2");
    let _successor = rig.worker().await?;
    rig.until_confirmed().await?;
    rig.until_equal().await?;
    Ok(())
}
