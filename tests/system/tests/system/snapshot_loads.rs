//! What a copy loads: few versions, and none of a part that is taken for the whole.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system::{wait, worker::Worker};

use super::{
    rig::Rig,
    snapshot::{T, of, until_whole},
};

/// A chunk is one version, and another for each ten seconds that a slow machine takes for it; single loads would be more.
const MOST_VERSIONS: u64 = 3;

/// One chunk has all of `T`, which is several requests.
async fn rig_of_one_chunk() -> Result<Rig> {
    of(T, "t", 500_000).await
}

/// The number of rows and of loads that are durable in the target, and the bytes of the loads.
async fn durable(rig: &Rig) -> Result<(String, u64, u64)> {
    let rows = rig.sink.value("SELECT COUNT(*) FROM app.t").await?.context("a count")?;
    let stats = rig.sink.stats()?;
    let number = |name: &str| stats["tables"]["app.t"][name].as_u64().unwrap_or_default();
    Ok((rows, number("loads"), number("bytes_loaded")))
}

async fn until_equal(rig: &Rig, worker: &mut Worker) -> Result<()> {
    until_whole(worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    let stats = rig.sink.stats()?;
    let labels = stats["labels"].as_object().into_iter().flat_map(|labels| labels.values());
    let running = labels.filter_map(|states| states["PREPARE"].as_u64()).sum::<u64>();
    ensure!(running == 0, "a transaction was left open: {}", stats["labels"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_many_requests_is_one_version() -> Result<()> {
    let rig = rig_of_one_chunk().await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_equal(&rig, &mut worker).await?;
    let (_, loads, bytes) = durable(&rig).await?;
    ensure!(bytes > 12 << 20, "one request could have {bytes} bytes");
    ensure!(loads <= MOST_VERSIONS, "{loads} versions of one chunk");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_in_the_middle_of_a_chunk_leaves_nothing_of_it() -> Result<()> {
    let rig = rig_of_one_chunk().await?;
    // The second request stops in the middle of its body.
    let fault = json!({"table": "app.t", "stage": "body", "action": "hold", "skip": 1, "count": 1});
    rig.sink.inject(&fault)?;
    let mut worker = Worker::start(&rig.settings)?;
    rig.sink.until_struck().await?;
    worker.process().kill()?;
    rig.sink.heal()?;

    let (rows, loads, _) = durable(&rig).await?;
    ensure!((rows.as_str(), loads) == ("0", 0), "{rows} rows in {loads} versions");
    worker.crash()?;
    until_equal(&rig, &mut worker).await?;
    ensure!(durable(&rig).await?.1 <= MOST_VERSIONS, "the chunk has many versions");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_failed_is_read_again_and_loaded_under_another_label() -> Result<()> {
    let rig = rig_of_one_chunk().await?;
    let versions =
        "Failed to load data into tablet 1, because of too many versions, current/limit: 1001/1000";
    for (stage, skip) in [("continue", 1), ("commit", 0)] {
        let action = json!({"fail": {"message": versions}});
        let fault = json!({"table": "app.t", "stage": stage, "action": action, "skip": skip, "count": 1});
        rig.sink.inject(&fault)?;
    }
    let mut worker = Worker::start(&rig.settings)?;
    rig.sink.until_struck().await?;
    rig.source.run("UPDATE t SET n = 3, large = 'newer' WHERE id > 3000").await?;
    until_equal(&rig, &mut worker).await?;
    let aborted = rig.sink.stats()?["labels"]["app"]["ABORTED"].as_u64().unwrap_or_default();
    ensure!(aborted == 2, "{aborted} labels are aborted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_whose_commit_was_not_answered_is_asked_for_and_not_read_again() -> Result<()> {
    let rig = rig_of_one_chunk().await?;
    // The answer of the commit, and of nothing before it, is lost.
    rig.sink.inject(
        &json!({"table": "app.t", "stage": "commit", "action": {"delay": {"millis": 3000}}, "count": 1}),
    )?;
    let mut worker = Worker::start(&rig.settings)?;
    rig.sink.until_struck().await?;
    rig.sink.inject(&json!({"table": "app.t", "stage": "answer", "action": "close", "count": 1}))?;
    rig.sink.until_struck().await?;
    until_equal(&rig, &mut worker).await?;
    let (_, _, bytes) = durable(&rig).await?;
    ensure!(bytes < 24 << 20, "the chunk was loaded twice: {bytes} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_of_a_chunk_become_dead_letters_and_the_copy_goes_on() -> Result<()> {
    let wide = "CREATE TABLE t (id bigint PRIMARY KEY, body text);
         INSERT INTO t SELECT id, repeat(md5(id::text), 28000) FROM generate_series(1, 12) id";
    let mut rig = of(wide, "t", 500_000).await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_ON_REFUSED_ROW", "DeadLetter");
    let refuse = json!({"table": "app.t", "stage": "commit", "action": {"refuse_row": {"reason": "Value is overflow"}}});
    rig.sink.inject(&refuse)?;
    let mut worker = Worker::start(&rig.settings)?;
    wait::until("every row is a dead letter", async || {
        let stored = rig.sink.value("SELECT COUNT(*) FROM app.dbmazz_dead_letters").await?;
        Ok((stored.as_deref() == Some("12")).then_some(()))
    })
    .await
    .with_context(|| worker.process().said())?;
    rig.sink.heal()?;
    until_whole(&mut worker, "t").await?;
    ensure!(durable(&rig).await?.0 == "0");
    rig.source.run("UPDATE t SET body = id").await?;
    until_equal(&rig, &mut worker).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_whose_reading_breaks_is_not_committed_and_is_read_again() -> Result<()> {
    let mut rig = rig_of_one_chunk().await?;
    // Requests are so small that the reader waits for the one that is held.
    rig.settings = rig.settings.clone().with("DBMAZZ_BUFFER", "8Mi");
    let fault = json!({"table": "app.t", "stage": "continue", "action": "hold", "skip": 1, "count": 1});
    rig.sink.inject(&fault)?;
    let mut worker = Worker::start(&rig.settings)?;
    rig.sink.until_struck().await?;
    let reading = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE query LIKE 'COPY (SELECT%' AND pid <> pg_backend_pid()";
    ensure!(rig.source.value(reading).await?.as_deref() == Some("t"), "the reader has ended already");
    rig.sink.heal()?;
    until_equal(&rig, &mut worker).await?;
    ensure!(durable(&rig).await?.1 <= MOST_VERSIONS, "the chunk has many versions");
    Ok(())
}
