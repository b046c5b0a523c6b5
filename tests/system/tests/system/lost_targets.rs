//! A target that was removed, emptied or altered by hand halts its table.

use anyhow::{Context, Result};
use system::worker::Worker;

use super::{
    identity::{TABLES, between, filled, follow_remedy, halted},
    rig::DATABASE,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_dropped_while_the_worker_was_away_is_not_made_anew_in_silence() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    rig.sink.rows(&format!("DROP TABLE {DATABASE}.t FORCE")).await?;
    rig.source.run("INSERT INTO t VALUES (3, 'c')").await?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = halted(&worker, "TargetLost").await?;
    follow_remedy(&rig, &mut worker, &fault).await?;
    assert_eq!(rig.until_table_equal("t").await?, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_emptied_or_made_anew_beside_the_worker_halts() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    let worker = rig.worker().await?;
    // A TRUNCATE at the source is not such a change.
    rig.source
        .run("INSERT INTO other VALUES (1, 'x'); TRUNCATE other; INSERT INTO other VALUES (2, 'y')")
        .await?;
    assert_eq!(rig.until_table_equal("other").await?, 1);
    rig.sink.rows(&format!("TRUNCATE TABLE {DATABASE}.t")).await?;
    let fault = halted(&worker, "TargetLost").await?;
    assert_eq!(fault.table, "public.t");
    drop(worker);
    let worker = Worker::start(&rig.settings)?;
    halted(&worker, "TargetLost").await?;
    assert_eq!(worker.status().await?.faults.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_column_that_was_renamed_by_hand_halts_and_its_remedy_works() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    let mut worker = rig.worker().await?;
    rig.sink.rows(&format!("ALTER TABLE {DATABASE}.t RENAME COLUMN v TO w")).await?;
    rig.source.run("INSERT INTO t VALUES (3, 'into nothing')").await?;
    let fault = halted(&worker, "TargetIncompatible").await?;
    assert!(fault.message.contains("column v of target table t no longer exists"), "{}", fault.message);
    rig.sink.rows(&format!("ALTER TABLE {DATABASE}.t RENAME COLUMN w TO v")).await?;
    worker.until_ready().await?;
    let at_source = between(&fault.fix, "run at the source ", " so that every row")?;
    let (identity, update) = at_source.split_once(" and then ").context("two statements")?;
    rig.source.run(identity.split(" (of").next().unwrap_or_default()).await?;
    rig.source.run(update).await?;
    assert_eq!(rig.until_table_equal("t").await?, 3);
    Ok(())
}
