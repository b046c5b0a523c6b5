//! A publication that left out a table, kinds of its changes, or its partitions halts the table.

use anyhow::Result;
use system::{wait, worker::Worker};

use super::identity::{TABLES, filled, follow_remedy, halted};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_left_the_publication_halts_and_is_not_put_back_in_silence() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("ALTER PUBLICATION dbmazz_pub DROP TABLE t; INSERT INTO t VALUES (3, 'unseen')").await?;
    let fault = halted(&worker, "PublicationChanged").await?;
    assert_eq!(fault.table, "public.t");
    worker.process().terminate().await?;
    let mut worker = Worker::start(&rig.settings)?;
    halted(&worker, "PublicationChanged").await?;
    // Adding the table again does not help: the rows it missed stay missing.
    rig.source.run("ALTER PUBLICATION dbmazz_pub ADD TABLE t; INSERT INTO t VALUES (4, 'seen')").await?;
    let fault = wait::until("the halt says that it came back", async || {
        let fault = worker.until_fault("PublicationChanged").await?;
        Ok(fault.message.contains("put back").then_some(fault))
    })
    .await?;
    follow_remedy(&rig, &mut worker, &fault).await?;
    assert_eq!(rig.until_table_equal("t").await?, 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_left_the_publication_and_came_back_between_two_looks_halts_at_its_next_change()
-> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    let worker = rig.worker().await?;
    rig.source
        .run(
            "ALTER PUBLICATION dbmazz_pub DROP TABLE t; INSERT INTO t VALUES (3, 'unseen'); \
              ALTER PUBLICATION dbmazz_pub ADD TABLE t; INSERT INTO t VALUES (4, 'seen')",
        )
        .await?;
    halted(&worker, "PublicationChanged").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_of_changes_that_were_left_out_for_a_while_halt() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    rig.source
        .run(
            "ALTER PUBLICATION dbmazz_pub SET (publish = 'insert'); DELETE FROM t WHERE id = 1; \
              ALTER PUBLICATION dbmazz_pub SET (publish = 'insert, update, delete, truncate')",
        )
        .await?;
    let worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("PublicationChanged").await?;
    assert!(fault.message.contains("altered"), "{}", fault.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_row_filter_halts() -> Result<()> {
    let schema = format!("{TABLES}; CREATE PUBLICATION dbmazz_pub FOR TABLE t, other WHERE (id > 0)");
    let rig = filled(&schema, "t,other").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO other VALUES (1, 'x')").await?;
    rig.until_table_equal("other").await?;
    rig.source.run("ALTER PUBLICATION dbmazz_pub SET TABLE t, other WHERE (id > 5); INSERT INTO other VALUES (2, 'unseen')").await?;
    let fault = halted(&worker, "PublicationChanged").await?;
    assert_eq!(fault.table, "public.other");
    rig.source.run("INSERT INTO t VALUES (3, 'flows')").await?;
    rig.until_table_equal("t").await?;
    worker.crash()
}

pub(super) const PARTITIONED: &str = "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); \
                           CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100); \
                           CREATE TABLE other (id int PRIMARY KEY, v text)";

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_come_under_the_names_of_partitions_halt_at_once_and_also_when_that_is_over()
-> Result<()> {
    for back in ["", "ALTER PUBLICATION dbmazz_pub SET (publish_via_partition_root = true)"] {
        let rig = filled(PARTITIONED, "t,other").await?;
        let worker = rig.worker().await?;
        rig.source
            .run(&format!(
                "ALTER PUBLICATION dbmazz_pub SET (publish_via_partition_root = false); \
                 INSERT INTO t VALUES (3, 'under the name of the leaf'); {back}"
            ))
            .await?;
        let fault = halted(&worker, "PublicationChanged").await?;
        assert_eq!(fault.table, "public.t");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn via_root_switched_and_back_while_the_worker_was_away_halts() -> Result<()> {
    let rig = filled(PARTITIONED, "t,other").await?;
    rig.source
        .run(
            "ALTER PUBLICATION dbmazz_pub SET (publish_via_partition_root = false); DELETE FROM t WHERE id = 1; \
             ALTER PUBLICATION dbmazz_pub SET (publish_via_partition_root = true)",
        )
        .await?;
    halted(&Worker::start(&rig.settings)?, "PublicationChanged").await?;
    Ok(())
}
