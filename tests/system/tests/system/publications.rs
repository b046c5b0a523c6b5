//! Tables and changes that a publication leaves out, the loss of a publication, and tables that only some jobs can
//! follow.

use anyhow::Result;
use system::{wait, worker::Worker};
use testbed::postgres::{Embedded, PostgresOptions};

use super::rig::{DATABASE, Rig};

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, v int)";

async fn on(major: u32, schema: &str, tables: &str) -> Result<Rig> {
    let binaries = Some(Embedded::of(major)?.binaries()?);
    Rig::with(PostgresOptions { binaries, ..PostgresOptions::default() }, schema, tables).await
}

/// Waits until the target's live rows are exactly these.
async fn until_live(rig: &Rig, columns: &str, expected: &[&[&str]]) -> Result<()> {
    let sql = format!("SELECT {columns} FROM {DATABASE}.t WHERE dbmazz_is_deleted = 0 ORDER BY id");
    let expected: Vec<Vec<_>> =
        expected.iter().map(|row| row.iter().map(|text| Some((*text).to_owned())).collect()).collect();
    let live = async || {
        let rows = rig.sink.rows(&sql).await?;
        anyhow::ensure!(rows == expected, "{rows:?}");
        Ok(Some(()))
    };
    wait::until("the target has the live rows", live).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_leaves_the_row_filter_is_a_delete() -> Result<()> {
    let filtered = "CREATE TABLE t (id int PRIMARY KEY, v int); ALTER TABLE t REPLICA IDENTITY FULL; \
                    CREATE PUBLICATION dbmazz_pub FOR TABLE t WHERE (v > 0)";
    let rig = Rig::of(filtered, "t").await?;
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1), (2, -1), (3, 3), (4, 4)").await?;
    until_live(&rig, "id, v", &[&["1", "1"], &["3", "3"], &["4", "4"]]).await?;
    rig.source.run("UPDATE t SET v = -v WHERE id < 4; DELETE FROM t WHERE id = 4").await?;
    until_live(&rig, "id, v", &[&["2", "1"]]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_columns_that_postgresql_18_publishes_arrive() -> Result<()> {
    let generated = "CREATE TABLE t (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, \
                     n int GENERATED ALWAYS AS IDENTITY); \
                     CREATE PUBLICATION dbmazz_pub FOR TABLE t WITH (publish_generated_columns = stored)";
    let rig = on(18, generated, "t").await?;
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t (id, a) VALUES (1, 21); UPDATE t SET a = 22").await?;
    until_live(&rig, "id, a, twice, n", &[&["1", "22", "44", "1"]]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_followed_halts_alone_with_its_remedy() -> Result<()> {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE keyless (v int)";
    let rig = Rig::of(schema, "t,keyless,absent").await?;
    let worker = Worker::start(&rig.settings)?;
    let keyless = worker.until_fault("PrimaryKeyMissing").await?;
    assert_eq!((keyless.table.as_str(), keyless.halted), ("public.keyless", true));
    assert!(keyless.fix.contains("REPLICA IDENTITY USING INDEX"), "{}", keyless.fix);
    assert_eq!(worker.until_fault("SourceTableMissing").await?.table, "public.absent");
    rig.source.run("INSERT INTO keyless VALUES (1); UPDATE keyless SET v = 2").await?;
    rig.source.run("INSERT INTO t VALUES (1, 1); UPDATE t SET v = 2").await?;
    until_live(&rig, "id, v", &[&["1", "2"]]).await?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_table_that_cannot_be_followed_keeps_its_changes_in_the_wal() -> Result<()> {
    let rig =
        Rig::of("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (id int PRIMARY KEY)", "t,u")
            .await?;
    let mut worker = rig.worker().await?;
    worker.process().terminate().await?;
    rig.source
        .run("INSERT INTO u VALUES (1); ALTER TABLE u DROP CONSTRAINT u_pkey; INSERT INTO t VALUES (1, 1)")
        .await?;
    let halted = Worker::start(&rig.settings)?;
    assert_eq!(halted.until_fault("PrimaryKeyMissing").await?.table, "public.u");
    until_live(&rig, "id, v", &[&["1", "1"]]).await?;
    drop(halted);
    // The confirmed position did not pass the row of the halted table.
    rig.source.run("ALTER TABLE u ADD PRIMARY KEY (id)").await?;
    let _worker = rig.worker().await?;
    rig.until_table_equal("u").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_made_anew_before_any_change_loses_nothing() -> Result<()> {
    let rig = Rig::of(ROWS, "t").await?;
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    rig.source.run("DROP PUBLICATION dbmazz_pub").await?;
    rig.source.run("CREATE PUBLICATION dbmazz_pub FOR TABLE t").await?;
    rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_without_a_publication_are_never_skipped_in_silence() -> Result<()> {
    // PostgreSQL up to 17 refuses to decode without the publication; 18 would skip the changes.
    for (major, reason) in [(17, "PublicationMissing"), (18, "ReplicationGap")] {
        let rig = on(major, ROWS, "t").await?;
        let mut worker = rig.worker().await?;
        rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
        rig.until_table_equal("t").await?;
        rig.source.run("DROP PUBLICATION dbmazz_pub").await?;
        rig.source.run("INSERT INTO t VALUES (2, 2)").await?;
        let fault = worker.until_fault(reason).await?;
        assert!(fault.message.contains("publication"), "{}", fault.message);
        // A successor does not skip them either, although it finds no publication or creates a new one.
        worker.process().kill()?;
        let _successor = Worker::start(&rig.settings)?.until_fault(reason).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_postgresql_17_on_the_slot_survives_a_failover() -> Result<()> {
    let rig = on(17, ROWS, "t").await?;
    let _worker = rig.worker().await?;
    assert_eq!(rig.slot("failover").await?.as_deref(), Some("t"));
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_come_and_go_under_their_root() -> Result<()> {
    let schema = "CREATE TABLE t (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
                  CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10)";
    let rig = Rig::of(schema, "t").await?;
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    let attach = "CREATE TABLE high (v int, id int NOT NULL); \
                  ALTER TABLE t ATTACH PARTITION high FOR VALUES FROM (10) TO (20)";
    rig.source.run(attach).await?;
    rig.source.run("INSERT INTO t VALUES (11, 2), (12, 3); UPDATE t SET id = 13 WHERE id = 1").await?;
    rig.until_table_equal("t").await?;
    rig.source.run("DELETE FROM high WHERE id > 11").await?;
    rig.source.run("BEGIN; DELETE FROM high; ALTER TABLE t DETACH PARTITION high; COMMIT").await?;
    // Changes of the detached partition are no changes of the table any more.
    rig.source.run("INSERT INTO high VALUES (9, 19); INSERT INTO t VALUES (2, 2)").await?;
    rig.until_table_equal("t").await?;
    Ok(())
}
