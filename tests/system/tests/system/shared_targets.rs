//! Two jobs with one target: the later one halts that table, names the other job, and continues when its remedy was
//! followed.

use anyhow::Result;
use proto::{ReloadConfigRequest, StopRequest};
use system::{
    source::Source,
    verify, wait,
    worker::{Settings, Worker},
};

use super::{
    identity::{follow_remedy_at, halted},
    rig::{DATABASE, Rig},
};

const TABLES: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY, v text)";
const THEIRS: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE third (id int PRIMARY KEY, v text)";

/// Another job, whose source has a table of the same name.
async fn second(rig: &Rig) -> Result<(Source, Settings)> {
    rig.source.run("CREATE DATABASE second").await?;
    let url = rig.postgres.url("second");
    let source = Source::connect(&url).await?;
    source.run(THEIRS).await?;
    let settings = Settings::new(&url, &rig.sink, DATABASE, "t,third")?
        .with("SOURCE_SLOT_NAME", "second_slot")
        .with("SOURCE_PUBLICATION_NAME", "second_pub")
        .with("FLUSH_INTERVAL_MS", "50");
    Ok((source, settings))
}

fn tables(names: &[&str]) -> ReloadConfigRequest {
    let tables = names.iter().map(|name| (*name).to_owned()).collect();
    ReloadConfigRequest { tables, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_job_into_a_target_halts_and_its_remedy_works() -> Result<()> {
    let rig = Rig::of(TABLES, "t,other").await?;
    let mut first = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 'first'); INSERT INTO other VALUES (1, 'first')").await?;
    rig.until_equal().await?;
    let (source, settings) = second(&rig).await?;
    let mut worker = Worker::start(&settings)?;
    let fault = halted(&worker, "TargetShared").await?;
    for told in ["dbmazz_slot", "public.t", "target table `t`"] {
        assert!(fault.message.contains(told), "{told} in {}", fault.message);
    }
    source
        .run("INSERT INTO t VALUES (1, 'second'), (2, 'second'); INSERT INTO third VALUES (1, 'flows')")
        .await?;
    verify::until_tables_equal(&settings, &["third"]).await?;
    // The earlier job continues, also after a restart.
    first.crash()?;
    first.until_ready().await?;
    rig.source.run("INSERT INTO t VALUES (3, 'first')").await?;
    rig.until_equal().await?;
    worker.crash()?;
    let fault = halted(&worker, "TargetShared").await?;
    rig.until_equal().await?;
    assert!(first.reload(tables(&["other"])).await?.success);
    follow_remedy_at(&rig.sink, &source, &mut worker, &fault).await?;
    assert_eq!(verify::until_tables_equal(&settings, &["t", "third"]).await?, 3);
    first.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_jobs_that_begin_at_once_with_a_target_one_halts_and_the_other_goes_on() -> Result<()> {
    let rig = Rig::of(TABLES, "t,other").await?;
    rig.source.run("INSERT INTO t VALUES (1, 'first')").await?;
    let (source, settings) = second(&rig).await?;
    let (first, second) = (Worker::start(&rig.settings)?, Worker::start(&settings)?);
    let is_halted = async |worker: &Worker| -> Result<bool> {
        let faults = worker.status().await?.faults;
        Ok(faults.iter().any(|fault| fault.reason == "TargetShared" && fault.halted))
    };
    let first_stays = wait::until("one has halted", async || {
        let halted = (is_halted(&first).await?, is_halted(&second).await?);
        anyhow::ensure!(halted != (true, true), "both have halted");
        Ok((halted != (false, false)).then_some(halted.1))
    })
    .await?;
    rig.source.run("INSERT INTO t VALUES (7, 'first')").await?;
    source.run("INSERT INTO t VALUES (7, 'second')").await?;
    let value = if first_stays { "first" } else { "second" };
    let loaded = format!("SELECT v FROM {DATABASE}.t WHERE id = 7");
    wait::until("who stays goes on", async || {
        Ok((rig.sink.value(&loaded).await?.as_deref() == Some(value)).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_of_a_deleted_job_is_free_for_another() -> Result<()> {
    let rig = Rig::of(TABLES, "t,other").await?;
    let first = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 'first')").await?;
    rig.until_equal().await?;
    let gone = StopRequest { release_past: true, ..Default::default() };
    assert!(first.stop(gone).await?.success);
    drop(first);
    let settings = rig.settings.clone().with("SOURCE_SLOT_NAME", "later_slot").elsewhere()?;
    let _worker = Worker::ready(&settings).await?;
    rig.source.run("INSERT INTO t VALUES (2, 'later')").await?;
    assert_eq!(verify::until_tables_equal(&settings, &["t", "other"]).await?, 2);
    Ok(())
}
