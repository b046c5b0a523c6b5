//! Columns that are not sent, or only from some moment on: generated columns, and columns that a publication leaves out.

use anyhow::{Context, Result, ensure};
use system::{wait, worker::Worker};

use super::{
    column_values::{columns_of, halts, on, send_again_as_told, taken_anew},
    rig::{DATABASE, Rig},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_column_that_is_not_sent_is_left_out_from_the_first_row_on() -> Result<()> {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED)";
    let rig = Rig::of(schema, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t (id) VALUES (1)").await?;
    rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
    assert_eq!(columns_of(&rig, "t").await?, ["id"]);
    assert_eq!(worker.status().await?.faults, []);
    assert!(worker.process().said().contains("columns left out"), "{}", worker.process().said());
    rig.source
        .run("ALTER TABLE t ADD COLUMN h int GENERATED ALWAYS AS (id + 1) STORED, ADD COLUMN v int")
        .await?;
    rig.source.run("INSERT INTO t (id, v) VALUES (2, 2)").await?;
    rig.until_table_equal("t").await?;
    assert_eq!(columns_of(&rig, "t").await?, ["id", "v"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_columns_of_the_stream_are_known_on_every_version() -> Result<()> {
    for major in [13, 14, 16, 17, 18] {
        let virtual_one = if major < 18 { "" } else { ", w int GENERATED ALWAYS AS (a + 1) VIRTUAL" };
        let schema = format!(
            "CREATE TABLE t (g int GENERATED ALWAYS AS (id * 2) STORED, id int PRIMARY KEY, a int{virtual_one})"
        );
        let rig = on(major, &schema, "t").await?;
        let mut worker = rig.worker().await?;
        rig.source
            .run("INSERT INTO t (id, a) VALUES (1, 2); UPDATE t SET a = 3; INSERT INTO t (id) VALUES (4)")
            .await?;
        rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
        assert_eq!(columns_of(&rig, "t").await?, ["id", "a"], "{major}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_column_that_becomes_an_ordinary_one_halts_for_its_earlier_values() -> Result<()> {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED)";
    let rig = Rig::of(schema, "t").await?;
    let mut worker = rig.worker().await?;
    let change = "ALTER TABLE t ALTER g DROP EXPRESSION; INSERT INTO t VALUES (2, 7)";
    halts(&rig, &mut worker, "INSERT INTO t (id) VALUES (1)", change, "column g").await?;
    taken_anew(&rig, "id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_generated_column_is_refused_with_a_remedy_that_works() -> Result<()> {
    let schema = "CREATE TABLE t (a int, g int GENERATED ALWAYS AS (a * 2) STORED NOT NULL, PRIMARY KEY (a, g)); \
                  CREATE TABLE u (id int PRIMARY KEY)";
    let rig = Rig::of(schema, "t,u").await?;
    let worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("ReplicaIdentityInsufficient").await?;
    assert!(fault.message.contains("generated column g"), "{}", fault.message);
    assert!(fault.fix.contains("unique index"), "{}", fault.fix);
    rig.source
        .run("CREATE UNIQUE INDEX t_a ON t (a); ALTER TABLE t ALTER a SET NOT NULL, REPLICA IDENTITY USING INDEX t_a")
        .await?;
    let is_made = async || Ok(columns_of(&rig, "t").await.ok().filter(|columns| !columns.is_empty()));
    wait::until("the target is made", is_made).await?;
    rig.source.run("INSERT INTO t (a) VALUES (1), (2); UPDATE t SET a = 3 WHERE a = 1").await?;
    let live = format!("SELECT a FROM {DATABASE}.t WHERE dbmazz_is_deleted = 0 ORDER BY a");
    wait::until("the rows are there", async || {
        let rows = rig.sink.rows(&live).await?;
        Ok((rows.len() == 2).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_the_publication_leaves_out_and_takes_in_later_is_not_taken_for_new() -> Result<()> {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, a int, b int); \
                  CREATE PUBLICATION dbmazz_pub FOR TABLE t (id, a)";
    let rig = Rig::of(schema, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1, 1)").await?;
    rig.until_table_equal("t").await?;
    rig.source.run("ALTER PUBLICATION dbmazz_pub SET TABLE t; INSERT INTO t VALUES (2, 2, 2)").await?;
    for _ in 0..2 {
        wait::until("the table halts", async || {
            let faults = worker.status().await?.faults;
            // When it is the only table, the fault is reported for the source.
            ensure!(
                faults.iter().any(|fault| fault.halted && fault.message.contains("public.t")),
                "{faults:?}"
            );
            Ok(Some(()))
        })
        .await?;
        worker.crash()?;
    }
    assert!(!columns_of(&rig, "t").await?.contains(&"b".to_owned()));
    Ok(())
}

/// The server refuses an UPDATE under REPLICA IDENTITY FULL from 18 on where a generated column is not published, and
/// from 15 on where the publication has a column list.
#[tokio::test(flavor = "multi_thread")]
async fn the_remedy_works_for_tables_with_generated_columns_on_every_version() -> Result<()> {
    for major in [13, 15, 18] {
        let virtual_one = if major < 18 { "" } else { ", w int GENERATED ALWAYS AS (a + 1) VIRTUAL" };
        let schema = format!(
            "CREATE TABLE t (id int PRIMARY KEY, a int, big text, doc jsonb, raw bytea, many text[], \
             g int GENERATED ALWAYS AS (id * 2) STORED, h int GENERATED ALWAYS AS (id * 3) STORED{virtual_one}); \
             ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER doc SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL, \
             ALTER many SET STORAGE EXTERNAL; CREATE TABLE other (id int PRIMARY KEY)"
        );
        let rig = if major == 15 {
            Rig::of(&schema, "t,other").await?
        } else {
            on(major, &schema, "t,other").await?
        };
        let worker = rig.worker().await?;
        let large = "INSERT INTO t (id, a, big, doc, raw, many) SELECT i, i, repeat('é', 9000), \
                     jsonb_build_object('k', repeat('x', 9000)), decode(repeat('00ff', 5000), 'hex'), \
                     ARRAY[repeat('y', 5000), NULL, 'q\"\\'] FROM generate_series(1, 3) i; INSERT INTO t (id) VALUES (4)";
        rig.source.run(large).await?;
        rig.until_table_equal("t").await?;
        // After this change the values of earlier rows are not known.
        rig.source.run("ALTER TABLE t ALTER g DROP EXPRESSION; INSERT INTO t (id, g) VALUES (5, 7)").await?;
        let fault = worker.until_fault("SourceSchemaChanged").await?;
        let by_full = "BEGIN; ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET a = a";
        let is_taken = rig.source.run(by_full).await.is_ok();
        rig.source.run("ROLLBACK").await?;
        assert_eq!(is_taken, major < 18, "the other way to have every row sent whole");
        send_again_as_told(&rig, &fault.fix).await.with_context(|| format!("{major}: {}", fault.fix))?;
        rig.until_table_equal("t").await.with_context(|| format!("{major}: {}", fault.fix))?;
    }
    Ok(())
}

/// From 15 on the server refuses an UPDATE under REPLICA IDENTITY FULL of a table that is published with a column list,
/// even a complete one.
#[tokio::test(flavor = "multi_thread")]
async fn the_remedy_works_for_a_table_that_is_published_by_a_list_of_its_columns() -> Result<()> {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL; \
                  CREATE PUBLICATION dbmazz_pub FOR TABLE t (id, big)";
    let rig = Rig::of(schema, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t SELECT i, repeat('x', 9000) FROM generate_series(1, 3) i").await?;
    rig.until_table_equal("t").await?;
    worker.process().kill()?;
    rig.sink.rows(&format!("DROP TABLE {DATABASE}.t FORCE")).await?;
    worker.crash()?;
    let fault = worker.until_fault("TargetLost").await?;
    assert!(!fault.fix.contains("then UPDATE"), "{}", fault.fix);
    send_again_as_told(&rig, &fault.fix).await.with_context(|| fault.fix.clone())?;
    assert_eq!(rig.until_table_equal("t").await?, 3);
    Ok(())
}
