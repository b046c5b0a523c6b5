//! The identity of a table is more than its name: another table at the source halts it, as do a publication that left it
//! out (`left_out`) and a target that was removed (`lost_targets`). It stays halted over a restart, and continues when
//! the remedy was followed.

use anyhow::{Context, Result};
use proto::{Fault, ReloadConfigRequest};
use serde_json::json;
use system::{sink::Sink, source::Source, wait, worker::Worker};
use testbed::postgres::{Embedded, PostgresOptions};

use super::{
    left_out::PARTITIONED,
    rig::{DATABASE, Rig},
};

pub(super) const TABLES: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY, v text)";

/// A rig with rows on both sides.
pub(super) async fn filled(schema: &str, tables: &str) -> Result<Rig> {
    let rig = Rig::of(schema, tables).await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 'old'), (2, 'old')").await?;
    rig.until_table_equal("t").await?;
    worker.process().terminate().await?;
    Ok(rig)
}

/// The fault that halts the table.
pub(super) async fn halted(worker: &Worker, reason: &str) -> Result<Fault> {
    let fault = worker.until_fault(reason).await?;
    anyhow::ensure!(fault.halted, "{fault:?}");
    Ok(fault)
}

/// Follows the remedy "take the table anew" verbatim.
pub(super) async fn follow_remedy(rig: &Rig, worker: &mut Worker, fault: &Fault) -> Result<()> {
    follow_remedy_at(&rig.sink, &rig.source, worker, fault).await
}

/// The same for this source and this sink.
pub(super) async fn follow_remedy_at(
    sink: &Sink,
    source: &Source,
    worker: &mut Worker,
    fault: &Fault,
) -> Result<()> {
    let at_sink = between(&fault.fix, "in StarRocks run ", "; when the job has made")?;
    let (drop, delete) = at_sink.split_once(" and then ").context("two statements")?;
    sink.rows(&format!(
        "DROP TABLE IF EXISTS {DATABASE}.{}",
        drop.trim_start_matches("DROP TABLE IF EXISTS ")
    ))
    .await?;
    sink.rows(&delete.replace("`dbmazz_tables`", &format!("{DATABASE}.dbmazz_tables"))).await?;
    worker.until_ready().await.with_context(|| fault.fix.clone())?;
    let at_source = between(&fault.fix, "run at the source ", " so that every row")?;
    let (identity, update) = at_source.split_once(" and then ").context("two statements")?;
    let identity = identity.split(" (of").next().unwrap_or_default();
    source.run(identity).await?;
    source.run(update).await
}

pub(super) fn uptime(worker: &Worker) -> Result<u64> {
    let page: serde_json::Value = serde_json::from_str(&worker.http("/healthz")?.1)?;
    page["uptime_secs"].as_u64().context("no uptime")
}

pub(super) fn between<'a>(text: &'a str, from: &str, to: &str) -> Result<&'a str> {
    let (_, rest) = text.split_once(from).with_context(|| format!("no {from:?} in {text}"))?;
    Ok(rest.split_once(to).with_context(|| format!("no {to:?} in {text}"))?.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_dropped_and_made_anew_halts_and_its_remedy_works() -> Result<()> {
    let rig = Rig::of(TABLES, "t,other").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 'old'), (2, 'old')").await?;
    rig.until_table_equal("t").await?;
    rig.source.run("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text)").await?;
    // A value stored out of line, which an update alone would not send again.
    rig.source.run("ALTER TABLE t ALTER v SET STORAGE EXTERNAL").await?;
    rig.source
        .run("INSERT INTO t VALUES (7, repeat('large', 20000)); INSERT INTO other VALUES (1, 'flows')")
        .await?;
    let fault = halted(&worker, "SourceTableReplaced").await?;
    assert_eq!(fault.table, "public.t");
    rig.until_table_equal("other").await?;
    worker.crash()?;
    let fault = halted(&worker, &fault.reason).await?;
    follow_remedy(&rig, &mut worker, &fault).await?;
    assert_eq!(rig.until_table_equal("t").await?, 1);
    rig.source.run("DELETE FROM t; INSERT INTO t VALUES (8, 'goes on')").await?;
    rig.until_table_equal("t").await?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_made_anew_while_the_worker_was_away_halts() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    rig.source
        .run("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (7, 'x')")
        .await?;
    let worker = Worker::start(&rig.settings)?;
    let fault = halted(&worker, "SourceTableReplaced").await?;
    assert!(fault.message.contains("was dropped"), "{}", fault.message);
    let published = "SELECT count(*) FROM pg_publication_tables WHERE tablename = 't'";
    assert_eq!(rig.source.value(published).await?.as_deref(), Some("0"), "it was put back in silence");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_target_took_long_to_make_is_known_after_a_restart() -> Result<()> {
    let rig = Rig::of(TABLES, "t,other").await?;
    let hold = json!({"stage": "statement", "label": "CREATE TABLE IF NOT EXISTS `t` *", "count": 1, "action": "hold"});
    rig.sink.inject(&hold)?;
    let mut worker = Worker::start(&rig.settings)?;
    rig.sink.until_struck().await?;
    rig.until_table_equal("other").await?;
    rig.source.run("INSERT INTO t VALUES (1, 'old'); INSERT INTO other VALUES (1, 'flows')").await?;
    rig.until_table_equal("t").await?;
    rig.sink.heal()?;
    rig.until_confirmed().await?;
    worker.process().kill()?;
    rig.source
        .run("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (7, 'x')")
        .await?;
    worker.crash()?;
    halted(&worker, "SourceTableReplaced").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_exchange_their_names_halt() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    let exchange = "BEGIN; ALTER TABLE t RENAME TO x; ALTER TABLE other RENAME TO t; ALTER TABLE x RENAME TO other; COMMIT";
    rig.source.run(exchange).await?;
    let worker = Worker::start(&rig.settings)?;
    halted(&worker, "SourceTableReplaced").await?;
    drop(worker);
    // The names are exchanged back, and then once more while the stream runs.
    rig.source.run(exchange).await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (3, 'before')").await?;
    rig.until_table_equal("t").await?;
    rig.source.run(exchange).await?;
    rig.source
        .run("INSERT INTO t VALUES (9, 'of the other'); INSERT INTO other VALUES (9, 'of the first')")
        .await?;
    wait::until("both are halted", async || {
        let faults = worker.status().await?.faults;
        let replaced = faults.iter().filter(|fault| fault.reason == "SourceTableReplaced" && fault.halted);
        Ok((replaced.count() == 2).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_another_takes_the_place_of_halts_where_that_happens() -> Result<()> {
    let schema = format!(
        "{TABLES}; CREATE TABLE t_new (id int PRIMARY KEY, v text); CREATE PUBLICATION dbmazz_pub FOR ALL TABLES"
    );
    let rig = filled(&schema, "t,other").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t_new SELECT id, 'new' FROM generate_series(1, 5) id").await?;
    rig.source.run("BEGIN; ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t; COMMIT; INSERT INTO t VALUES (6, 'x')").await?;
    let fault = halted(&worker, "SourceTableReplaced").await?;
    assert_eq!(fault.table, "public.t");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_renamed_says_so_and_flows_when_it_has_its_name_back() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    let mut worker = rig.worker().await?;
    rig.source
        .run("ALTER TABLE t RENAME TO called; INSERT INTO called VALUES (3, 'under another name')")
        .await?;
    let fault = halted(&worker, "SourceTableReplaced").await?;
    assert!(fault.message.contains("is called public.called"), "{}", fault.message);
    rig.source.run("INSERT INTO called VALUES (4, 'while it stood'); ALTER TABLE called RENAME TO t").await?;
    worker.until_ready().await?;
    assert_eq!(rig.until_table_equal("t").await?, 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_left_out_of_the_job_and_put_back_halts_until_it_is_taken_anew() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    let select = |names: &[&str]| {
        let tables = names.iter().map(|name| (*name).to_owned()).collect();
        ReloadConfigRequest { tables, ..Default::default() }
    };
    let mut worker = rig.worker().await?;
    assert!(worker.reload(select(&["other"])).await?.success);
    rig.source.run("INSERT INTO other VALUES (1, 'flows')").await?;
    rig.until_table_equal("other").await?;
    rig.source.run("INSERT INTO t VALUES (3, 'meanwhile'); DELETE FROM t WHERE id = 1").await?;
    rig.until_confirmed().await?;
    assert!(worker.reload(select(&["other", "t"])).await?.success);
    halted(&worker, "TableLeftOut").await?;
    worker.process().terminate().await?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = halted(&worker, "TableLeftOut").await?;
    follow_remedy(&rig, &mut worker, &fault).await?;
    assert_eq!(rig.until_table_equal("t").await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_for_a_halted_table_does_not_undo_the_rename_of_another() -> Result<()> {
    let schema =
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY, a int)";
    let rig = filled(schema, "t,other").await?;
    rig.sink.rows(&format!("DROP TABLE {DATABASE}.t FORCE")).await?;
    let worker = Worker::start(&rig.settings)?;
    halted(&worker, "TargetLost").await?;
    rig.source.run("INSERT INTO other VALUES (1, 1)").await?;
    rig.until_table_equal("other").await?;
    rig.source.run("ALTER TABLE other RENAME a TO a2; INSERT INTO other VALUES (2, 2)").await?;
    rig.until_table_equal("other").await?;
    // After two looks at the tables, each of which describes the target again.
    let looks = uptime(&worker)? + 13;
    wait::until("two looks are through", async || Ok((uptime(&worker)? >= looks).then_some(()))).await?;
    rig.source.run("INSERT INTO other VALUES (3, 3)").await?;
    assert_eq!(rig.until_table_equal("other").await?, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rewrites_a_table_and_what_grants_it_to_others_is_no_other_table() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    let worker = rig.worker().await?;
    rig.source.run("VACUUM FULL t").await?;
    rig.source
        .run(
            "CLUSTER t USING t_pkey; ALTER TABLE t ALTER v SET NOT NULL; CREATE ROLE somebody; \
             ALTER PUBLICATION dbmazz_pub OWNER TO CURRENT_USER; GRANT SELECT ON t TO somebody; ANALYZE t",
        )
        .await?;
    rig.source.run("INSERT INTO t VALUES (3, 'x')").await?;
    rig.until_table_equal("t").await?;
    drop(worker);
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (4, 'y')").await?;
    assert_eq!(rig.until_table_equal("t").await?, 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_postgresql_tells_who_a_table_is() -> Result<()> {
    for major in [13, 18] {
        let options =
            PostgresOptions { binaries: Some(Embedded::of(major)?.binaries()?), ..Default::default() };
        let rig = Rig::with(options, PARTITIONED, "t,other").await?;
        let worker = rig.worker().await?;
        rig.source.run("INSERT INTO t VALUES (1, 'x'); INSERT INTO other VALUES (1, 'x')").await?;
        rig.until_equal().await?;
        rig.source.run("DROP TABLE other; CREATE TABLE other (id int PRIMARY KEY, v text)").await?;
        halted(&worker, "SourceTableReplaced").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_table_that_was_empty_when_it_was_taken_up_is_known_to_be_whole() -> Result<()> {
    let schema = format!("{TABLES}; INSERT INTO other VALUES (1, 'before')");
    let rig = Rig::of(&schema, "t,other").await?;
    let worker = rig.worker().await?;
    let metrics = worker.http("/metrics")?.1;
    for line in ["dbmazz_table_whole{table=\"public.t\"} 1", "dbmazz_table_whole{table=\"public.other\"} 0"] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_made_anew_begins_with_its_tables_as_they_are() -> Result<()> {
    let rig = filled(TABLES, "t,other").await?;
    rig.source.run("SELECT pg_drop_replication_slot('dbmazz_slot'); DROP PUBLICATION dbmazz_pub").await?;
    rig.sink.rows(&format!("TRUNCATE TABLE {DATABASE}.dbmazz_jobs")).await?;
    // The target is gone, and the source has another table of the same name.
    rig.sink.rows(&format!("DROP TABLE {DATABASE}.t FORCE")).await?;
    rig.source.run("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text)").await?;
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (9, 'new')").await?;
    assert_eq!(rig.until_table_equal("t").await?, 1);
    Ok(())
}
