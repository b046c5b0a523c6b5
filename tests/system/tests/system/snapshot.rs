//! Rows that exist before the job are copied while their changes flow, exactly.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system::{
    sink::Sink,
    source::Source,
    wait,
    worker::{Settings, Worker},
};
use testbed::postgres::{Embedded, PostgresOptions};

use super::rig::Rig;

/// A rig whose jobs copy existing rows, in chunks of at most so many rows.
async fn copying(options: PostgresOptions, schema: &str, tables: &str, chunk_rows: u32) -> Result<Rig> {
    let mut rig = Rig::with(options, schema, tables).await?;
    rig.source.run("VACUUM").await?;
    rig.settings =
        rig.settings.clone().with("DO_SNAPSHOT", "true").with("SNAPSHOT_CHUNK_SIZE", &chunk_rows.to_string());
    Ok(rig)
}

pub(super) async fn of(schema: &str, tables: &str, chunk_rows: u32) -> Result<Rig> {
    copying(PostgresOptions::default(), schema, tables, chunk_rows).await
}

/// Waits until the target of the table is known to have every row.
pub(super) async fn until_whole(worker: &mut Worker, table: &str) -> Result<()> {
    let line = format!("dbmazz_table_whole{{table=\"public.{table}\"}} 1");
    let whole = async || {
        let metrics = worker.http("/metrics")?.1;
        Ok(metrics.lines().any(|metric| metric.starts_with(&line)).then_some(()))
    };
    let result = wait::until(&format!("{table} is whole"), whole).await;
    result.with_context(|| format!("the worker said:\n{}", worker.process().said()))
}

/// Rows in many blocks, with a large value that an update of `n` leaves out of the stream, and free space in the first
/// blocks.
pub(super) const T: &str = "CREATE TABLE t (id bigint PRIMARY KEY, n int, body text, large text);
     ALTER TABLE t ALTER COLUMN large SET STORAGE EXTERNAL;
     INSERT INTO t SELECT id, 0, repeat('x', 200), repeat(md5(id::text), 80) FROM generate_series(1, 6000) id;
     DELETE FROM t WHERE id <= 1000";

/// Changes of every kind, in round `round`.
fn changes(round: u32) -> String {
    format!(
        "UPDATE t SET n = {round} WHERE id % 37 = {round} % 37;
         UPDATE t SET id = id + 100000, large = 'of a new key' WHERE id % 611 = {round};
         DELETE FROM t WHERE id % 401 = {round};
         INSERT INTO t SELECT 50000 + {round} * 100 + i, {round}, 'new', 'new' FROM generate_series(1, 20) i"
    )
}

/// Waits until so many blocks are copied.
pub(super) async fn until_blocks(worker: &mut Worker, blocks: u64) -> Result<()> {
    let copied = async || {
        let status = worker.status().await?;
        ensure!(status.snapshot_chunks_done < status.snapshot_chunks_total || blocks == 0, "{status:?}");
        Ok((status.snapshot_chunks_done >= blocks && status.snapshot_active).then_some(()))
    };
    let result = wait::until("some blocks are copied", copied).await;
    result.with_context(|| format!("the worker said:\n{}", worker.process().said()))
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_existed_before_the_job_arrive_while_they_are_changed() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    for round in 1..=40 {
        rig.source.run(&changes(round)).await?;
    }
    until_whole(&mut worker, "t").await?;
    let rows = rig.until_equal().await.with_context(|| worker.process().said())?;
    ensure!(rows > 5_000, "{rows} rows");
    ensure!(!worker.status().await?.snapshot_active);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_of_a_row_that_moves_to_a_copied_block_is_read_from_the_source() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 35).await?;
    // The last rows move to the free space of the first blocks, which are copied already.
    rig.source.run("UPDATE t SET n = 1 WHERE id > 5500").await?;
    let moved = rig.source.value("SELECT count(*) FROM t WHERE n = 1 AND ctid < '(30,0)'").await?;
    ensure!(moved.as_deref() != Some("0"), "no row has moved");
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

/// Waits until this many rows of the target meet the condition.
pub(super) async fn until_loaded(rig: &Rig, worker: &mut Worker, condition: &str, rows: u32) -> Result<()> {
    wait::until(&format!("{rows} rows are loaded with {condition}"), async || {
        let loaded = rig.sink.value(&format!("SELECT COUNT(*) FROM app.t WHERE {condition}")).await?;
        ensure!(loaded == Some(rows.to_string()), "{loaded:?}; {:?}", worker.status().await?);
        Ok(Some(()))
    })
    .await
    .with_context(|| format!("the worker said:\n{}", worker.process().said()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_waits_for_a_commit_that_is_in_the_wal_and_not_visible_yet() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 1).await?;
    // The stream announces the table's columns with its first change.
    rig.source.run("UPDATE t SET n = 1 WHERE id = 1001").await?;
    until_loaded(&rig, &mut worker, "n = 1", 1).await?;
    // A chunk waits before its load is committed.
    rig.sink.inject(&json!({"table": "app.t", "stage": "commit", "action": "hold", "count": 1}))?;
    rig.sink.until_struck().await?;
    let waiting = rig.commit_unseen("UPDATE t SET n = 7, large = 'newer' WHERE id > 5000").await?;
    rig.sink.heal()?;
    until_loaded(&rig, &mut worker, "n = 7", 1000).await?;
    // Long enough for every chunk, if none of them waited.
    rig.source.run("SELECT pg_sleep(3)").await?;
    until_loaded(&rig, &mut worker, "n = 0 AND id > 5000", 0).await?;
    ensure!(worker.status().await?.snapshot_active);
    rig.see(waiting).await?;
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_the_chunk_that_is_being_loaded() -> Result<()> {
    // One chunk, which waits before its load is committed.
    let rig = of(T, "t", 500_000).await?;
    rig.sink.inject(&json!({"table": "app.t", "stage": "commit", "action": "hold", "count": 1}))?;
    let mut worker = Worker::start(&rig.settings)?;
    rig.sink.until_struck().await?;
    rig.source.run("UPDATE t SET n = 7, large = 'newer' WHERE id > 3000").await?;
    // Long enough for the change, if it did not wait.
    rig.source.run("SELECT pg_sleep(2)").await?;
    rig.sink.heal()?;
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_is_read_although_the_change_that_lacks_it_is_not_visible_yet() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 20).await?;
    rig.source.run("UPDATE t SET n = 1 WHERE id = 1001").await?;
    until_loaded(&rig, &mut worker, "n = 1", 1).await?;
    // No chunk can have this row before its commit is visible.
    let waiting = rig.commit_unseen("UPDATE t SET n = 8 WHERE id = 5999").await?;
    until_loaded(&rig, &mut worker, "n = 8 AND large IS NOT NULL", 1).await?;
    rig.see(waiting).await?;
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_continues_its_copy_and_ends_equal() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    for round in 1..=8 {
        until_blocks(&mut worker, 1).await?;
        rig.source.run(&changes(round)).await?;
        worker.crash()?;
    }
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    worker.crash()?;
    worker.until_ready().await?;
    ensure!(!worker.process().said().contains("copy of existing rows"), "{}", worker.process().said());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_begins_waits_for_the_newest_commit_that_nobody_sees() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 1).await?;
    rig.source.run("UPDATE t SET n = 1 WHERE id = 1001").await?;
    until_loaded(&rig, &mut worker, "n = 1", 1).await?;
    rig.sink.inject(&json!({"table": "app.t", "stage": "commit", "action": "hold", "count": 1}))?;
    rig.sink.until_struck().await?;
    // No transaction ends after this one, so no snapshot names it as running.
    let waiting = rig.commit_unseen("UPDATE t SET n = 7, large = 'newer' WHERE id > 5000").await?;
    rig.sink.heal()?;
    until_loaded(&rig, &mut worker, "n = 7", 1000).await?;
    let end = rig.source.value("SELECT pg_current_wal_lsn()").await?.context("a position")?;
    wait::until("the change is confirmed, and will not be sent again", async || {
        let confirmed = rig.slot(&format!("CASE WHEN confirmed_flush_lsn >= '{end}' THEN 1 END")).await?;
        Ok(confirmed.map(|_| ()))
    })
    .await?;
    worker.crash()?;
    // Long enough for every chunk, if none of them waited.
    rig.source.run("SELECT pg_sleep(5)").await?;
    until_loaded(&rig, &mut worker, "n = 0 AND id > 5000", 0).await?;
    rig.see(waiting).await?;
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_copied_is_not_copied_again_after_a_drain() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 100).await?;
    ensure!(worker.drain().await?.success);
    worker.crash()?;
    let continued = async || Ok(worker.process().said().contains("continuing the copy").then_some(()));
    wait::until("the copy continues", continued).await?;
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    let rows = worker.process().said();
    ensure!(!rows.contains("done=0"), "{rows}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_moved_by_a_rewrite_are_copied_from_the_beginning() -> Result<()> {
    for rewrite in ["VACUUM FULL t", "CLUSTER t USING t_pkey", "TRUNCATE t"] {
        let rig = of(T, "t", 1).await?;
        let mut worker = Worker::start(&rig.settings)?;
        until_blocks(&mut worker, 10).await?;
        rig.source.run(rewrite).await?;
        rig.source.run(&changes(1)).await?;
        until_whole(&mut worker, "t").await.context(rewrite)?;
        rig.until_equal().await.with_context(|| worker.process().said()).context(rewrite)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_may_change_while_a_table_is_copied() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    for (round, change) in (1..).zip([
        "ALTER TABLE t ADD COLUMN added int DEFAULT 5",
        "ALTER TABLE t RENAME COLUMN body TO text",
        "ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN m int",
    ]) {
        until_blocks(&mut worker, round * 10).await?;
        rig.source.run(change).await?;
        rig.source.run("UPDATE t SET id = id WHERE id % 100 = 1").await?;
    }
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_every_form_are_copied() -> Result<()> {
    let schema = r#"
        CREATE TABLE parts (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        CREATE TABLE parts_2 (v text, at date NOT NULL, gone int, id int NOT NULL);
        ALTER TABLE parts_2 DROP COLUMN gone;
        ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        INSERT INTO parts SELECT i, date '2024-06-01' + i, 'v' || i FROM generate_series(1, 500) i;
        CREATE TABLE base (id int PRIMARY KEY, v text);
        CREATE TABLE child (PRIMARY KEY (id)) INHERITS (base);
        INSERT INTO base VALUES (1, 'of the table itself'); INSERT INTO child VALUES (2, 'of a child');
        CREATE TABLE empty (id int PRIMARY KEY);
        CREATE TABLE single (id int PRIMARY KEY); INSERT INTO single VALUES (1);
        CREATE TABLE "Odd-name" ("the key" text PRIMARY KEY, "select" bytea, "a,b" text[]);
        INSERT INTO "Odd-name" VALUES (E'tab\t\\N', '\x00ff', ARRAY[NULL, 'x', '"']), ('', '', '{}'), ('\N', NULL, NULL);
        CREATE TABLE filtered (id int PRIMARY KEY, v text, secret text, g int GENERATED ALWAYS AS (id * 2) STORED);
        INSERT INTO filtered SELECT i, 'v', 's' FROM generate_series(1, 100) i;
        CREATE PUBLICATION dbmazz_pub FOR TABLE ONLY parts, ONLY base, ONLY empty, ONLY single,
            ONLY "Odd-name", ONLY filtered (id, v) WHERE (id % 3 = 0)
            WITH (publish_via_partition_root = true)"#;
    let tables = ["parts", "base", "empty", "single", "Odd-name", "filtered"];
    let rig = of(schema, &tables.join(","), 100).await?;
    let mut worker = Worker::start(&rig.settings)?;
    for table in tables {
        until_whole(&mut worker, table).await?;
    }
    rig.until_equal().await.with_context(|| worker.process().said())?;
    let count = async |table: &str| rig.sink.value(&format!("SELECT COUNT(*) FROM app.{table}")).await;
    assert_eq!(count("base").await?.as_deref(), Some("1"));
    assert_eq!(count("filtered").await?.as_deref(), Some("33"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_joins_later_waits_for_what_was_open_when_it_joined() -> Result<()> {
    let schema = format!("{T}; CREATE TABLE other (id int PRIMARY KEY)");
    let mut rig = of(&schema, "other", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_whole(&mut worker, "other").await?;
    // What this transaction has written is not published, whenever it commits.
    let open = Source::connect(&rig.postgres.url("postgres")).await?;
    open.run("BEGIN; UPDATE t SET n = 9 WHERE id > 5000; INSERT INTO t VALUES (7000, 9, 'x', 'y')").await?;
    let tables = vec!["other".to_owned(), "t".to_owned()];
    worker.reload(proto::ReloadConfigRequest { tables, ..Default::default() }).await?;
    let began = "beginning the copy of existing rows table=public.t";
    let begun = async || Ok(worker.process().said().contains(began).then_some(()));
    wait::until("the table is to be copied", begun).await?;
    rig.source.run("SELECT pg_sleep(2)").await?;
    ensure!(worker.status().await?.snapshot_rows_synced == 0, "a chunk did not wait");
    open.run("COMMIT").await?;
    until_whole(&mut worker, "t").await?;
    rig.settings = rig.settings.with("TABLES", "other,t");
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_read_a_table_is_told_and_the_copy_begins_when_it_may() -> Result<()> {
    let schema = format!(
        "{T}; CREATE ROLE reader LOGIN REPLICATION PASSWORD 'secret'; CREATE TABLE open (id int PRIMARY KEY);
         INSERT INTO open VALUES (1); GRANT SELECT ON open TO reader;
         CREATE PUBLICATION dbmazz_pub FOR TABLE ONLY t, ONLY open WITH (publish_via_partition_root = true)"
    );
    let mut rig = of(&schema, "t,open", 1000).await?;
    let url = rig.postgres.url("postgres");
    let (_, place) = url.split_once('@').context("an address")?;
    rig.settings = rig.settings.clone().with("SOURCE_URL", &format!("postgres://reader:secret@{place}"));
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("SourcePermissionDenied").await?;
    ensure!(fault.table == "public.t" && !fault.halted && fault.fix.contains("SELECT"), "{fault:?}");
    until_whole(&mut worker, "open").await?;
    rig.source.run("GRANT SELECT ON t TO reader").await?;
    until_whole(&mut worker, "t").await?;
    worker.until_ready().await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_copies_nothing_and_goes_on_when_it_is_resumed() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 10).await?;
    ensure!(worker.pause().await?.success);
    wait::until("nothing is loaded for a second", async || {
        let loads = rig.loads()?;
        rig.source.run("SELECT pg_sleep(1)").await?;
        Ok((rig.loads()? == loads).then_some(()))
    })
    .await?;
    ensure!(worker.status().await?.snapshot_active, "the copy went on to its end");
    ensure!(worker.resume().await?.success);
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_loaded_in_one_step_are_copied_between_two_steps() -> Result<()> {
    let schema = "
        CREATE TABLE a (id bigint PRIMARY KEY, v bigint, t text); ALTER TABLE a REPLICA IDENTITY FULL;
        CREATE TABLE b (id bigint PRIMARY KEY, v bigint, t text); ALTER TABLE b REPLICA IDENTITY FULL;
        INSERT INTO a SELECT id, 0, repeat('x', 200) FROM generate_series(1, 5000) id;
        INSERT INTO b SELECT id, 0, repeat('y', 200) FROM generate_series(1, 5000) id";
    let mut rig = of(schema, "a,b", 1).await?;
    rig.sink = Sink::with(&["--profile", "4.0.7"]).await?;
    rig.settings = Settings::new(&rig.postgres.url("postgres"), &rig.sink, "app", "a,b")?
        .with("FLUSH_INTERVAL_MS", "50")
        .with("DBMAZZ_CONSISTENCY", "Transaction")
        .with("DO_SNAPSHOT", "true")
        .with("SNAPSHOT_CHUNK_SIZE", "1");
    let mut worker = Worker::start(&rig.settings)?;
    for round in 1..=6 {
        until_blocks(&mut worker, 1).await?;
        let change = |table: &str| {
            format!(
                "UPDATE {table} SET v = {round} WHERE id % 50 = {round}; DELETE FROM {table} WHERE id % 301 = {round};
                 UPDATE {table} SET id = id + 10000 WHERE id % 401 = {round};"
            )
        };
        rig.source.run(&format!("BEGIN; {}{} COMMIT", change("a"), change("b"))).await?;
        if round % 3 == 0 {
            worker.crash()?;
        }
    }
    until_whole(&mut worker, "a").await?;
    until_whole(&mut worker, "b").await?;
    let rows = rig.until_equal().await.with_context(|| worker.process().said())?;
    ensure!(rows > 9_000, "{rows} rows");
    Ok(())
}

async fn is_copied_from(major: u32) -> Result<()> {
    let options =
        PostgresOptions { binaries: Some(Embedded::of(major)?.binaries()?), ..PostgresOptions::default() };
    let rig = copying(options, T, "t", 100).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 5).await?; // in chunks, also where ranges of blocks cannot be scanned
    worker.crash()?;
    for round in 1..=10 {
        rig.source.run(&changes(round)).await?;
    }
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

macro_rules! versions {
    ($($name:ident: $major:literal),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() -> Result<()> {
            is_copied_from($major).await
        })+
    };
}

versions! {
    existing_rows_are_copied_from_postgresql_13: 13,
    existing_rows_are_copied_from_postgresql_14: 14,
    existing_rows_are_copied_from_postgresql_16: 16,
    existing_rows_are_copied_from_postgresql_17: 17,
    existing_rows_are_copied_from_postgresql_18: 18,
}

/// The stream announces other columns with the next change of a row only.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_becomes_wider_while_nobody_writes_does_not_keep_the_copy_for_ever() -> Result<()> {
    let rig = of(T, "t", 1).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_blocks(&mut worker, 10).await?;
    rig.source.run("ALTER TABLE t ALTER n TYPE bigint").await?;
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

/// Rows of 12 MiB that stand for larger ones: the limit of the process is small accordingly.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_beyond_the_memory_limit_is_told_and_copied_when_there_is_enough() -> Result<()> {
    let columns = |text: &dyn Fn(usize) -> String| (1..=12).map(text).collect::<Vec<_>>().join(", ");
    let schema = format!(
        "CREATE TABLE large (id bigint PRIMARY KEY, {}); CREATE TABLE small (id bigint PRIMARY KEY);
         INSERT INTO large SELECT id, {} FROM generate_series(1, 5) id; INSERT INTO small SELECT generate_series(1, 9)",
        columns(&|place| format!("c{place} text")),
        columns(&|place| format!("repeat('{}', 1000000)", place % 10)),
    );
    let mut rig = of(&schema, "large,small", 500_000).await?;
    let settings = rig.settings.clone();
    rig.settings = settings.clone().with("DBMAZZ_BUFFER", "32Mi").with("DBMAZZ_MEMORY", "80Mi");
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("RowTooLarge").await?;
    ensure!(fault.table == "public.large" && !fault.halted, "{fault:?}");
    until_whole(&mut worker, "small").await?;
    rig.source.run("INSERT INTO small VALUES (10)").await?;
    ensure!(rig.until_table_equal("small").await? == 10);
    let words = fault.fix.split(' ');
    let asked =
        words.filter_map(|word| word.parse::<u64>().ok()).next().context("the remedy names an amount")?;
    worker.process().kill()?;
    rig.settings = rig.settings.clone().with("DBMAZZ_MEMORY", &format!("{asked}Mi"));
    let mut worker = Worker::start(&rig.settings)?;
    until_whole(&mut worker, "large").await?;
    rig.until_equal().await?;
    let (_, peak) = worker.memory()?;
    ensure!(peak < asked << 20, "{} MiB, and {asked} were asked for", peak >> 20);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_tables_are_copied_while_one_grows() -> Result<()> {
    let (mut schema, mut tables) = (String::new(), Vec::new());
    for number in 0..40 {
        schema += &format!(
            "CREATE TABLE t{number} (id bigserial PRIMARY KEY, v text);
             INSERT INTO t{number} (v) SELECT repeat('x', 100) FROM generate_series(1, 300);"
        );
        tables.push(format!("t{number}"));
    }
    let rig = of(&schema, &tables.join(","), 100).await?;
    let mut worker = Worker::start(&rig.settings)?;
    let grow = "INSERT INTO t7 (v) SELECT 'new' FROM generate_series(1, 50); SELECT pg_sleep(0.05)";
    until_blocks(&mut worker, 1).await?;
    while worker.status().await?.snapshot_active {
        rig.source.run(grow).await?;
    }
    for table in tables {
        until_whole(&mut worker, &table).await?;
    }
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}
