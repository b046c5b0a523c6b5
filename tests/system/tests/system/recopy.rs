//! Tables that were followed are copied anew, exactly: on demand, or because what was in StarRocks is lost.

use anyhow::{Context, Result, ensure};
use system::{
    sink::Sink,
    wait,
    worker::{Settings, Worker},
};

use super::{
    rig::Rig,
    snapshot::{of, until_whole},
};

/// Rows in many blocks, some of them with a large value.
const T: &str = "CREATE TABLE t (id bigint PRIMARY KEY, n int, large text);
     ALTER TABLE t ALTER COLUMN large SET STORAGE EXTERNAL;
     INSERT INTO t SELECT id, 0, repeat(md5(id::text), 60) FROM generate_series(1, 3000) id";

/// Changes of every kind, in round `round`.
fn changes(round: u32) -> String {
    format!(
        "UPDATE t SET n = {round} WHERE id % 37 = {round} % 37;
         UPDATE t SET id = id + 100000, large = 'of a new key' WHERE id % 611 = {round};
         DELETE FROM t WHERE id % 401 = {round};
         INSERT INTO t SELECT 50000 + {round} * 100 + i, {round}, 'new' FROM generate_series(1, 20) i"
    )
}

/// A job whose table `t` is copied, and 100 deleted rows of it.
async fn copied(schema: &str) -> Result<(Rig, Worker)> {
    let rig = of(schema, "t", 1000).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_whole(&mut worker, "t").await?;
    rig.source.run("DELETE FROM t WHERE id <= 100").await?;
    rig.until_equal().await?;
    Ok((rig, worker))
}

/// Makes the target wrong behind the job's back: rows are missing, have other values, or come back from the dead, with
/// versions of every kind.
async fn spoil(rig: &Rig) -> Result<()> {
    for statement in [
        "DELETE FROM app.t WHERE id > 2900",
        "UPDATE app.t SET n = 77 WHERE id > 2000 AND id <= 2100",
        "UPDATE app.t SET dbmazz_is_deleted = false, dbmazz_cdc_version = 5 WHERE id <= 40",
        "UPDATE app.t SET dbmazz_is_deleted = false, dbmazz_cdc_version = NULL WHERE id > 40 AND id <= 70",
        "UPDATE app.t SET dbmazz_is_deleted = false, dbmazz_cdc_version = 9000000000000000000 WHERE id > 70 AND id <= 99",
        // A row that the source has, with a version that no change of it can have.
        "UPDATE app.t SET n = 78, dbmazz_cdc_version = 9000000000000000000 WHERE id = 207",
    ] {
        rig.sink.rows(statement).await.context(statement)?;
    }
    let verdict = system::verify::run(&rig.settings, &[]).await?;
    ensure!(!verdict.equal, "nothing is wrong: {}", verdict.text);
    Ok(())
}

async fn count(rig: &Rig, condition: &str) -> Result<u32> {
    let count = rig.sink.value(&format!("SELECT COUNT(*) FROM app.t WHERE {condition}")).await?;
    Ok(count.context("a count")?.parse()?)
}

/// Waits until the request was taken up, and the table has every row again.
async fn until_copied(rig: &Rig, worker: &mut Worker, request: &str) -> Result<()> {
    wait::until("the request is taken up", async || {
        Ok((worker.status().await?.snapshot_request == request).then_some(()))
    })
    .await?;
    until_whole(worker, "t").await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_copied_anew_on_demand_and_is_equal_whatever_was_in_its_target() -> Result<()> {
    let (rig, mut worker) = copied(T).await?;
    spoil(&rig).await?;
    let answer = worker.start_snapshot(&["public.t"], "first").await?;
    ensure!(answer.success, "{answer:?}");
    ensure!(worker.status().await?.snapshot_request == "first", "an answered request is recorded");
    for round in 1..=20 {
        rig.source.run(&changes(round)).await?;
    }
    until_copied(&rig, &mut worker, "first").await?;
    // What was deleted before stays as a tombstone, and what the source lacks is marked.
    ensure!(count(&rig, "id = 100 AND dbmazz_is_deleted = true AND dbmazz_op_type = 2").await? == 1);
    ensure!(count(&rig, "id <= 99 AND dbmazz_is_deleted = true AND dbmazz_op_type = 2").await? == 99);
    let said = worker.process().said();
    ensure!(said.contains("removed=59 loaded=1") && said.contains("removed=40 loaded=0"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_handled_once_also_after_a_crash_and_without_a_name_always() -> Result<()> {
    let (rig, mut worker) = copied(T).await?;
    ensure!(worker.start_snapshot(&[], "a").await?.success);
    worker.crash()?;
    until_copied(&rig, &mut worker, "a").await?;
    spoil(&rig).await?;
    let again = worker.start_snapshot(&[], "a").await?;
    ensure!(again.success && again.message.contains("taken up before"), "{again:?}");
    ensure!(!system::verify::run(&rig.settings, &[]).await?.equal);
    ensure!(worker.start_snapshot(&[], "").await?.success);
    until_copied(&rig, &mut worker, "a").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_is_refused_with_the_reason() -> Result<()> {
    let (rig, mut worker) = copied(T).await?;
    let unknown = worker.start_snapshot(&["public.other"], "").await?;
    ensure!(!unknown.success && unknown.message.contains("public.other is no table"), "{unknown:?}");
    rig.sink.rows("ALTER TABLE app.t DROP COLUMN n").await?;
    let fault = worker.until_fault("TargetIncompatible").await?;
    let halted = worker.start_snapshot(&["public.t"], "").await?;
    ensure!(!halted.success && halted.message.contains(&fault.reason), "{halted:?}");
    let (status, text) = worker.post("/api/snapshot", "{\"table\": []}")?;
    ensure!(status == 400, "{status} {text}");
    ensure!(worker.drain().await?.success || worker.process().said().contains("stopped"));
    let stopped = worker.start_snapshot(&[], "").await?;
    ensure!(!stopped.success && stopped.message.contains("stopped"), "{stopped:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_a_job_that_copies_nothing_is_copied_on_demand_over_http() -> Result<()> {
    let mut rig = of(T, "t", 1000).await?;
    rig.settings = rig.settings.clone().with("DO_SNAPSHOT", "false").with("DBMAZZ_DELETES", "Hard");
    let mut worker = rig.worker().await?;
    ensure!(count(&rig, "id > 0").await? == 0);
    let (status, text) = worker.post("/api/snapshot", "{\"tables\": [\"t\"], \"request\": \"b\"}")?;
    ensure!(status == 200 && text.contains("\"ok\":true"), "{status} {text}");
    rig.source.run(&changes(1)).await?;
    until_copied(&rig, &mut worker, "b").await?;
    let (status, text) = worker.post("/api/snapshot", "")?;
    ensure!(status == 200, "{status} {text}");
    until_copied(&rig, &mut worker, "b").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_again_and_again_removes_exactly_what_the_source_lacks() -> Result<()> {
    let (rig, mut worker) = copied(T).await?;
    spoil(&rig).await?;
    ensure!(worker.start_snapshot(&["t"], "killed").await?.success);
    for round in 1..=8 {
        rig.source.run(&changes(round)).await?;
        rig.source.run(&format!("SELECT pg_sleep({})", f64::from(round % 4) * 0.3)).await?;
        worker.crash()?;
    }
    until_copied(&rig, &mut worker, "killed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_are_asked_for_as_the_source_spells_them() -> Result<()> {
    let schema = r"
        CREATE TABLE t (id int, b boolean, at timestamptz, ts timestamp, d date, n numeric, m numeric(9,2), x bytea, u uuid,
            p char(5), s text, f float8, v int, PRIMARY KEY (id, b, at, ts, d, n, m, x, u, p, s, f));
        INSERT INTO t SELECT i, i % 2 = 0, '2024-02-29 10:00:00.5+03'::timestamptz + i * interval '1 ms',
            timestamp '2024-02-29 10:00:00' + i * interval '100 ms', date '2024-02-29' + i, i * 1.50, i * 1.5,
            decode(lpad(to_hex(i), 4, '0'), 'hex'), ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid,
            'p' || i % 9, E'a''b\\c\t' || i, CASE WHEN i % 3 = 0 THEN '-0' ELSE i::text END::float8, i
        FROM generate_series(1, 300) i";
    let (rig, mut worker) = copied(schema).await?;
    // Rows that the source has, and rows that it does not have any more.
    rig.sink
        .rows("UPDATE app.t SET v = 1000, dbmazz_cdc_version = 9000000000000000000 WHERE id > 250")
        .await?;
    rig.sink
        .rows("UPDATE app.t SET dbmazz_is_deleted = false, dbmazz_cdc_version = 5 WHERE id <= 50")
        .await?;
    ensure!(worker.start_snapshot(&["t"], "keys").await?.success);
    until_copied(&rig, &mut worker, "keys").await?;
    let said = worker.process().said();
    ensure!(said.contains("removed=0 loaded=50") && said.contains("removed=50 loaded=0"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_target_is_copied_anew_by_the_rule_and_not_again_at_once() -> Result<()> {
    for loss in ["DROP TABLE app.t FORCE", "TRUNCATE TABLE app.t"] {
        let mut rig = of(T, "t", 1000).await?;
        rig.settings = rig.settings.clone().with("DBMAZZ_ON_TARGET_LOST", "Copy");
        let mut worker = Worker::start(&rig.settings)?;
        until_whole(&mut worker, "t").await?;
        rig.sink.rows(loss).await?;
        rig.source.run(&changes(1)).await?;
        let copied = async || Ok(worker.process().said().contains("copied anew").then_some(()));
        wait::until("the loss is seen", copied).await?;
        worker.crash()?;
        rig.source.run(&changes(2)).await?;
        until_whole(&mut worker, "t").await?;
        rig.until_equal().await.with_context(|| worker.process().said())?;
        rig.sink.rows(loss).await?;
        let fault = worker.until_fault("TargetLost").await?;
        ensure!(fault.halted && fault.message.contains("at the earliest"), "{fault:?}");
        // Not to wait, somebody asks for it.
        let answer = worker.start_snapshot(&["t"], "now").await?;
        ensure!(answer.success, "{answer:?}");
        until_copied(&rig, &mut worker, "now").await.context(loss)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_target_halts_and_a_request_copies_it_anew_while_the_other_tables_go_on() -> Result<()> {
    let schema = format!("{T}; CREATE TABLE other (id int PRIMARY KEY)");
    let rig = of(&schema, "t,other", 1000).await?;
    let mut worker = Worker::start(&rig.settings)?;
    until_whole(&mut worker, "t").await?;
    rig.sink.rows("DROP TABLE app.t FORCE").await?;
    let fault = worker.until_fault("TargetLost").await?;
    ensure!(
        fault.halted && fault.fix.contains("onTargetLost: Copy") && fault.fix.contains("ask for it"),
        "{fault:?}"
    );
    rig.source.run(&changes(1)).await?;
    ensure!(worker.start_snapshot(&["t"], "lost").await?.success);
    until_copied(&rig, &mut worker, "lost").await?;
    worker.until_ready().await
}

/// A job whose slot is lost while its worker is away: rows are deleted, changed and inserted, and nobody keeps the changes.
async fn lost(settings: &[(&str, &str)], loss: &str) -> Result<(Rig, Worker)> {
    let mut rig = of(T, "t", 1000).await?;
    for (name, value) in settings {
        rig.settings = rig.settings.clone().with(name, value);
    }
    let mut worker = Worker::start(&rig.settings)?;
    until_whole(&mut worker, "t").await?;
    rig.until_equal().await?;
    worker.process().kill()?;
    // A slot moves no further than what is flushed.
    rig.source.run("SET synchronous_commit = on").await?;
    rig.source.run("DELETE FROM t WHERE id <= 500; UPDATE t SET n = 5 WHERE id > 2500").await?;
    wait::until("the slot is free", async || {
        Ok((rig.slot("active").await?.as_deref() == Some("f")).then_some(()))
    })
    .await?;
    rig.source.run(loss).await?;
    rig.source.run(&changes(1)).await?;
    Ok((rig, worker))
}

const DROPPED: &str = "SELECT pg_drop_replication_slot('dbmazz_slot')";

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_slot_is_replaced_and_every_table_is_copied_anew_by_the_rule() -> Result<()> {
    for deletes in ["Hard", "Soft"] {
        let settings = [("DBMAZZ_SLOT_ON_LOST", "Resnapshot"), ("DBMAZZ_DELETES", deletes)];
        let (rig, mut worker) = lost(&settings, DROPPED).await?;
        // A kill at every moment of it.
        for round in 0..6 {
            worker.crash()?;
            rig.source.run(&format!("SELECT pg_sleep({})", f64::from(round) * 0.15)).await?;
        }
        until_whole(&mut worker, "t").await?;
        rig.until_equal().await.with_context(|| worker.process().said())?;
        worker.until_ready().await?;
        // Again at once: it waits, and says so.
        worker.process().kill()?;
        wait::until("the slot can be dropped", async || Ok(rig.source.run(DROPPED).await.ok())).await?;
        worker.crash()?;
        let fault = worker.until_fault("SlotLost").await?;
        ensure!(fault.halted && fault.message.contains("at the earliest"), "{fault:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_slot_is_told_with_the_position_from_which_the_targets_are_not_exact() -> Result<()> {
    let (rig, mut worker) = lost(&[("DBMAZZ_SLOT_ON_LOST", "Resnapshot")], DROPPED).await?;
    // The copy cannot end before its first load is committed.
    rig.sink
        .inject(&serde_json::json!({"table": "app.t", "stage": "commit", "action": "hold", "count": 1}))?;
    worker.crash()?;
    rig.sink.until_struck().await?;
    let fault = worker.until_fault("SlotLost").await?;
    ensure!(!fault.halted && fault.message.contains("not exact from there"), "{fault:?}");
    rig.sink.heal()?;
    until_whole(&mut worker, "t").await?;
    worker.until_ready().await?;
    rig.until_equal().await.with_context(|| worker.process().said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_another_client_moved_is_never_replaced() -> Result<()> {
    let moved = "SELECT pg_replication_slot_advance('dbmazz_slot', pg_current_wal_insert_lsn())";
    let (rig, mut worker) = lost(&[("DBMAZZ_SLOT_ON_LOST", "Resnapshot")], moved).await?;
    worker.crash()?;
    let fault = worker.until_fault("ReplicationGap").await;
    let fault = fault.with_context(|| format!("the worker said:\n{}", worker.process().said()))?;
    ensure!(fault.halted, "{fault:?}");
    ensure!(count(&rig, "n = 5").await? == 0, "nothing was copied");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_slot_halts_the_job_without_the_rule() -> Result<()> {
    let (_rig, mut worker) = lost(&[], DROPPED).await?;
    worker.crash()?;
    let fault = worker.until_fault("SlotLost").await?;
    ensure!(fault.halted, "{fault:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_copies_once_ends_when_everything_is_copied_and_leaves_no_slot() -> Result<()> {
    let mut rig = of(T, "t", 1).await?;
    rig.settings = rig.settings.clone().with("INITIAL_SNAPSHOT_ONLY", "true");
    let mut worker = Worker::start(&rig.settings)?;
    for round in 1..=10 {
        rig.source.run(&changes(round)).await?;
        if round % 4 == 0 {
            worker.crash()?;
        }
    }
    let status = worker.process().until_ended().await?;
    ensure!(status.success(), "{status}: {}", worker.process().said());
    ensure!(rig.slot("slot_name").await?.is_none(), "the slot is left");
    rig.until_equal().await.with_context(|| worker.process().said())?;
    // A worker that is started again does nothing.
    worker = Worker::start(&rig.settings)?;
    let status = worker.process().until_ended().await?;
    ensure!(status.success(), "{status}: {}", worker.process().said());
    ensure!(rig.slot("slot_name").await?.is_none(), "a slot was made again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_another_history_with_a_version_to_come_is_found_before_the_first_chunk() -> Result<()> {
    let (rig, mut worker) = copied(T).await?;
    let next = "SELECT ((pg_current_wal_insert_lsn() - '0/0')::bigint + 2000000)::text";
    let next = rig.source.value(next).await?.context("a position")?;
    let revived =
        format!("UPDATE app.t SET dbmazz_is_deleted = false, dbmazz_cdc_version = {next} WHERE id = 7");
    rig.sink.rows(&revived).await?;
    rig.sink
        .inject(&serde_json::json!({"table": "app.t", "stage": "commit", "action": "hold", "count": 1}))?;
    ensure!(worker.start_snapshot(&["t"], "").await?.success);
    rig.sink.until_struck().await?;
    rig.source
        .run("CREATE TABLE wal AS SELECT repeat(md5(i::text), 10) FROM generate_series(1, 20000) i")
        .await?;
    rig.sink.heal()?;
    until_copied(&rig, &mut worker, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_partitions_are_asked_for_and_those_that_the_publication_leaves_out_are_removed() -> Result<()>
{
    let schema = "
        CREATE TABLE t (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (500);
        CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (500) TO (5000);
        ALTER TABLE t_1 REPLICA IDENTITY FULL; ALTER TABLE t_2 REPLICA IDENTITY FULL;
        INSERT INTO t SELECT i, 1 FROM generate_series(1, 1000) i;
        CREATE PUBLICATION dbmazz_pub FOR TABLE t WHERE (v < 5) WITH (publish_via_partition_root = true)";
    let (rig, mut worker) = copied(schema).await?;
    rig.source.run("UPDATE t SET v = 9 WHERE id % 100 = 50").await?;
    rig.until_equal().await?;
    let left_out =
        "UPDATE app.t SET dbmazz_is_deleted = false, dbmazz_cdc_version = 5 WHERE id = 150 OR id = 750";
    rig.sink.rows(left_out).await?;
    rig.sink.rows("UPDATE app.t SET v = 3, dbmazz_cdc_version = 9000000000000000000 WHERE id = 999").await?;
    ensure!(worker.start_snapshot(&["t"], "parts").await?.success);
    until_copied(&rig, &mut worker, "parts").await?;
    ensure!(count(&rig, "id = 150 AND dbmazz_is_deleted = true").await? == 1);
    let said = worker.process().said();
    ensure!(said.contains("removed=0 loaded=1") && said.contains("removed=2 loaded=0"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_loaded_in_one_step_are_copied_anew_between_two_steps() -> Result<()> {
    let mut rig = of(&format!("{T}; ALTER TABLE t REPLICA IDENTITY FULL"), "t", 1000).await?;
    rig.sink = Sink::with(&["--profile", "4.0.7"]).await?;
    rig.settings = Settings::new(&rig.postgres.url("postgres"), &rig.sink, "app", "t")?
        .with("FLUSH_INTERVAL_MS", "50")
        .with("DBMAZZ_CONSISTENCY", "Transaction")
        .with("DO_SNAPSHOT", "true");
    let mut worker = Worker::start(&rig.settings)?;
    until_whole(&mut worker, "t").await?;
    rig.source.run("DELETE FROM t WHERE id <= 100").await?;
    rig.until_equal().await?;
    spoil(&rig).await?;
    ensure!(worker.start_snapshot(&[], "steps").await?.success);
    for round in 1..=10 {
        rig.source.run(&changes(round)).await?;
        if round == 3 {
            worker.crash()?;
        }
    }
    until_copied(&rig, &mut worker, "steps").await
}

/// What could not be asked does not count as asked in vain.
#[tokio::test(flavor = "multi_thread")]
async fn rows_in_doubt_wait_for_a_transaction_that_is_not_visible_for_long() -> Result<()> {
    let (rig, mut worker) = copied(T).await?;
    spoil(&rig).await?;
    let waiting = rig.commit_unseen("UPDATE t SET n = 8 WHERE id > 2950").await?;
    wait::until("the change is loaded", async || Ok((count(&rig, "n = 8").await? == 50).then_some(())))
        .await?;
    ensure!(worker.start_snapshot(&["t"], "slow").await?.success);
    // Far more than the attempts after which rows that stay are a fault.
    rig.source.run("SELECT pg_sleep(35)").await?;
    ensure!(worker.status().await?.faults.is_empty(), "{:?}", worker.status().await?.faults);
    rig.see(waiting).await?;
    until_copied(&rig, &mut worker, "slow").await
}
