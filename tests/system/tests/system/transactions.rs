//! `consistency: Transaction`: all tables in one step; a transaction of the source is applied as a whole or not at all,
//! and only once.

use anyhow::{Context, Result};
use fastrand::Rng;
use serde_json::json;
use std::time::Duration;
use system::{
    sink::Sink,
    wait,
    worker::{Settings, Worker},
};
use tokio_util::sync::CancellationToken;

use super::rig::{DATABASE, Rig};

const TABLES: &str = "
    CREATE TABLE a (id bigint PRIMARY KEY, v bigint, t text); ALTER TABLE a REPLICA IDENTITY FULL;
    CREATE TABLE b (id bigint PRIMARY KEY, v bigint, t text); ALTER TABLE b REPLICA IDENTITY FULL;";

/// A job that loads `a` and `b` in one step, into a StarRocks stand-in with these arguments.
async fn rig(arguments: &[&str]) -> Result<Rig> {
    let mut rig = Rig::of(TABLES, "a,b").await?;
    rig.sink = Sink::with(arguments).await?;
    let url = rig.postgres.url("postgres");
    rig.settings = Settings::new(&url, &rig.sink, DATABASE, "a,b")?
        .with("FLUSH_INTERVAL_MS", "50")
        .with("DBMAZZ_CONSISTENCY", "Transaction");
    Ok(rig)
}

impl Rig {
    async fn count(&self, table: &str) -> Result<u64> {
        let count = self.sink.value(&format!("SELECT COUNT(*) FROM {DATABASE}.{table}")).await?;
        Ok(count.context("a count")?.parse()?)
    }

    /// The number of rows that committed loads brought into a table, including rows that replaced others.
    fn applied(&self, table: &str) -> Result<u64> {
        Ok(self.sink.stats()?["tables"][format!("{DATABASE}.{table}")]["rows_loaded"].as_u64().unwrap_or(0))
    }

    /// Writes transaction number `n`: a new row in both tables, and the number `n` in a row of each.
    async fn step(&self, n: u64) -> Result<()> {
        let both = ["a", "b"].map(|table| {
            format!("INSERT INTO {table} VALUES ({n}, {n}, ''); UPDATE {table} SET v = {n} WHERE id = 0;")
        });
        self.source.run(&format!("BEGIN; {}{} COMMIT", both[0], both[1])).await
    }

    async fn number(&self, table: &str) -> Result<i64> {
        let number = self.sink.value(&format!("SELECT v FROM {DATABASE}.{table} WHERE id = 0")).await?;
        Ok(number.context("the row is there")?.parse()?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_9_readers_never_see_half_a_transaction() -> Result<()> {
    let rig = rig(&["--profile", "4.0.7"]).await?;
    rig.source.run("INSERT INTO a VALUES (0, 0, ''); INSERT INTO b VALUES (0, 0, '')").await?;
    let _worker = rig.worker().await?;
    rig.source.run("UPDATE a SET v = 0; UPDATE b SET v = 0").await?;
    rig.until_equal().await?;
    let (stop, mut looks) = (CancellationToken::new(), 0);
    let watch = async {
        while !stop.is_cancelled() {
            // A later read never sees an older state, in either order of the tables.
            let seen = [
                rig.number("a").await?,
                rig.number("b").await?,
                rig.number("a").await?,
                rig.number("b").await?,
            ];
            assert!(seen.is_sorted(), "a, b, a, b were read as {seen:?}");
            looks += 1;
        }
        anyhow::Ok(())
    };
    let write = async {
        for n in 1..=400 {
            rig.step(n).await?;
        }
        rig.until_equal().await?;
        stop.cancel();
        anyhow::Ok(())
    };
    tokio::try_join!(watch, write)?;
    assert!(looks > 20, "{looks} looks");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_9_a_worker_killed_at_any_moment_applies_nothing_twice() -> Result<()> {
    let rig = rig(&["--profile", "4.0.7"]).await?;
    let mut worker = rig.worker().await?;
    let (mut random, mut rows) = (Rng::with_seed(9), 0);
    for round in 0..25 {
        for _ in 0..random.u64(5..40) {
            rows += 1;
            rig.source
                .run(&format!("BEGIN; INSERT INTO a VALUES ({rows}); INSERT INTO b VALUES ({rows}); COMMIT"))
                .await?;
        }
        if round % 3 == 0 {
            // The step is committed in StarRocks, but not confirmed to PostgreSQL.
            let checkpoint = format!("SELECT lsn FROM {DATABASE}.dbmazz_checkpoints");
            let before = rig.sink.value(&checkpoint).await.ok().flatten();
            rows += 1;
            rig.source.run(&format!("INSERT INTO a VALUES ({rows}); INSERT INTO b VALUES ({rows})")).await?;
            wait::until("another step is committed", async || {
                Ok((rig.sink.value(&checkpoint).await? != before).then_some(()))
            })
            .await?;
        }
        worker.crash()?;
        tokio::time::sleep(Duration::from_millis(random.u64(..150))).await;
    }
    worker.until_ready().await?;
    rig.until_equal().await?;
    rig.until_confirmed().await?;
    assert_eq!((rig.applied("a")?, rig.applied("b")?), (rows, rows), "every row was inserted once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_9_the_label_decides_what_became_of_a_commit() -> Result<()> {
    for (stage, action) in [
        // The commit is answered with OK although nothing is committed.
        ("commit", json!("false_ok")),
        // The answer is lost: nothing was committed, or everything.
        ("commit", json!("close")),
        ("answer", json!("close")),
        ("answer", json!("cut_answer")),
        ("commit", json!({"publish_timeout": {"visible_after_millis": 300}})),
        ("commit", json!({"fail": {"message": "the moon is full"}})),
        ("redirect", json!("server_error")),
        ("begin", json!({"fail": {"message": "no"}})),
        ("continue", json!("close")),
        ("body", json!("close")),
    ] {
        let rig = rig(&["--profile", "4.0.7"]).await?;
        let _worker = rig.worker().await?;
        // The calls of a step reach this stage at most this often, so each of them is hit once.
        for skip in 0..6 {
            rig.sink.inject(&json!({"stage": stage, "action": action, "count": 1, "skip": skip, "label": "dbmazz_step_*"}))?;
        }
        for row in 1..=30 {
            rig.source
                .run(&format!("BEGIN; INSERT INTO a VALUES ({row}); INSERT INTO b VALUES ({row}); COMMIT"))
                .await?;
        }
        rig.until_equal().await.with_context(|| format!("{stage} {action}"))?;
        rig.until_confirmed().await?;
        assert_eq!((rig.applied("a")?, rig.applied("b")?), (30, 30), "{stage} {action}");
        rig.sink.heal()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_larger_than_the_buffer_is_seen_whole_or_not_at_all() -> Result<()> {
    let mut rig = rig(&["--profile", "4.1"]).await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_BUFFER", "4Mi");
    let mut worker = rig.worker().await?;
    let rows = 20_000;
    let fill = |table| {
        format!(
            "INSERT INTO {table} SELECT i, i, repeat(md5(i::text), 20) FROM generate_series(1, {rows}) i;"
        )
    };
    rig.source.run(&format!("BEGIN; {}{} COMMIT", fill("a"), fill("b"))).await?;
    let mut kills = 0;
    loop {
        let (b, a) = (rig.count("b").await?, rig.count("a").await?);
        assert!((a == 0 && b == 0) || a == rows, "{a} rows of a, and before that {b} of b");
        assert!(b == 0 || b == rows, "{b} rows of b");
        if b == rows {
            break;
        }
        if kills < 2 && rig.sink.stats()?["begun"].as_u64() > Some(3 + kills) {
            worker.crash()?;
            kills += 1;
        }
    }
    rig.until_equal().await?;
    let (_, peak) = worker.memory()?;
    assert!(peak < 40 << 20, "{peak} bytes were held");
    Ok(())
}

/// StarRocks keeps no order between two loads of one transaction, so the row would be out of date or missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_changed_twice_in_a_transaction_larger_than_the_buffer_halts_and_the_remedy_works() -> Result<()>
{
    let mut rig = rig(&["--profile", "4.1"]).await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_BUFFER", "4Mi");
    let mut worker = rig.worker().await?;
    let fill = "INSERT INTO a SELECT i, i, repeat(md5(i::text), 20) FROM generate_series(1, 6000) i";
    rig.source
        .run(&format!("BEGIN; {fill}; UPDATE a SET v = v + 1; INSERT INTO b VALUES (1); COMMIT"))
        .await?;
    let fault = worker.until_fault("BadConfiguration").await?;
    assert!(fault.halted && fault.fix.contains("consistency to Row"), "{fault:?}");
    assert_eq!((rig.count("a").await?, rig.count("b").await?), (0, 0), "nothing of it is to be seen");
    worker.process().kill()?;
    let by_rows = rig.settings.clone().with("DBMAZZ_CONSISTENCY", "Row");
    let mut worker = Worker::ready(&by_rows).await?;
    rig.until_equal().await?;
    worker.process().kill()?;
    let _worker = rig.worker().await?;
    rig.step(30_000).await?;
    rig.until_equal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_table_is_emptied_between_two_steps() -> Result<()> {
    let rig = rig(&["--profile", "4.0.7"]).await?;
    let mut worker = rig.worker().await?;
    for round in 0..12_u64 {
        rig.source
            .run(&format!(
                "BEGIN; INSERT INTO a VALUES ({round}); INSERT INTO b VALUES ({round}); COMMIT;
                 BEGIN; INSERT INTO b VALUES (1000 + {round}); TRUNCATE a; INSERT INTO a VALUES (1), (2); COMMIT;
                 BEGIN; UPDATE a SET v = {round}; TRUNCATE b; TRUNCATE a; INSERT INTO b VALUES (700); COMMIT;
                 INSERT INTO a VALUES ({round} + 5)"
            ))
            .await?;
        if round % 4 == 3 {
            worker.crash()?;
        }
    }
    worker.until_ready().await?;
    rig.until_equal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_deletes_and_moved_keys_go_along_in_one_step() -> Result<()> {
    let mut rig = rig(&["--profile", "4.1"]).await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_DELETES", "Hard");
    let _worker = rig.worker().await?;
    rig.source.run("INSERT INTO a SELECT i, i, 'x' FROM generate_series(1, 50) i").await?;
    rig.source
        .run("BEGIN; DELETE FROM a WHERE id < 10; UPDATE a SET id = id + 100 WHERE id < 20; INSERT INTO a VALUES (3, 3, 'y');
              INSERT INTO b SELECT * FROM a; DELETE FROM b WHERE id > 100; COMMIT")
        .await?;
    rig.until_equal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starrocks_that_cannot_do_it_is_refused_with_a_remedy() -> Result<()> {
    for (arguments, deletes) in
        [(["--profile", "3.5"], "Soft"), (["--profile", "4.0"], "Soft"), (["--mode", "data"], "Hard")]
    {
        let arguments = [&arguments[..], &["--profile", "4.1"][..]].concat();
        let arguments = if deletes == "Hard" { &arguments[..] } else { &arguments[..2] };
        let mut rig = rig(arguments).await?;
        rig.settings = rig.settings.clone().with("DBMAZZ_DELETES", deletes);
        let worker = Worker::start(&rig.settings)?;
        let fault = worker.until_fault("TargetIncompatible").await?;
        assert!(fault.halted && fault.fix.contains("consistency to Row"), "{fault:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_old_rows_do_not_come_whole_is_refused_until_they_do() -> Result<()> {
    let rig = rig(&["--profile", "4.0.7"]).await?;
    rig.source.run("ALTER TABLE b REPLICA IDENTITY DEFAULT").await?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("ReplicaIdentityInsufficient").await?;
    assert!(fault.halted && fault.fix.contains("b REPLICA IDENTITY FULL"), "{fault:?}");
    rig.source.run("ALTER TABLE b REPLICA IDENTITY FULL").await?;
    worker.until_ready().await?;
    rig.step(1).await?;
    rig.until_equal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_changes_over_from_rows_to_transactions_and_back() -> Result<()> {
    let rig = rig(&["--profile", "4.0.7"]).await?;
    for (number, consistency) in ["Row", "Transaction", "Row", "Transaction"].into_iter().enumerate() {
        let settings = rig.settings.clone().with("DBMAZZ_CONSISTENCY", consistency);
        let mut worker = Worker::ready(&settings).await?;
        rig.step(1 + number as u64).await?;
        rig.until_equal().await?;
        worker.process().kill()?;
    }
    Ok(())
}

/// A new partition without complete old rows is detected before its first change is loaded.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_comes_without_whole_rows_is_judged_when_it_comes_and_the_remedy_works() -> Result<()>
{
    let root = "CREATE TABLE p (id bigint, v bigint, t text, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
                CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100); ALTER TABLE p1 REPLICA IDENTITY FULL; \
                ALTER TABLE p REPLICA IDENTITY FULL";
    let mut rig = rig(&["--profile", "4.0.7"]).await?;
    rig.source.run(root).await?;
    let url = rig.postgres.url("postgres");
    rig.settings = Settings::new(&url, &rig.sink, DATABASE, "a,p")?
        .with("FLUSH_INTERVAL_MS", "50")
        .with("DBMAZZ_CONSISTENCY", "Transaction");
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO p VALUES (1, 1, 'x'); INSERT INTO a VALUES (1, 1, 'x')").await?;
    rig.until_equal().await?;
    for (name, from, makes) in [
        ("p2", 100, "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200)"),
        (
            "p3",
            200,
            "CREATE TABLE p3 (LIKE p INCLUDING ALL); ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (200) TO (300)",
        ),
    ] {
        // A value that is stored out of line, and an update that does not change it.
        let large = format!(
            "{makes}; ALTER TABLE {name} ALTER t SET STORAGE EXTERNAL; \
             INSERT INTO p VALUES ({from}, 1, repeat('x', 9000)); UPDATE p SET v = 2 WHERE id = {from}; \
             INSERT INTO a VALUES ({from}, 1, 'beside')"
        );
        rig.source.run(&large).await?;
        let fault = worker.until_fault("ReplicaIdentityInsufficient").await?;
        let statement = format!("ALTER TABLE public.{name} REPLICA IDENTITY FULL");
        assert!(fault.halted && fault.table == "public.p" && fault.fix.contains(&statement), "{fault:?}");
        rig.source.run(&statement).await?;
        worker.until_ready().await?;
        rig.source.run(&format!("UPDATE p SET v = 3 WHERE id = {from}")).await?;
        rig.until_equal().await?;
    }
    rig.until_confirmed().await
}

/// The frontend reads headers as Latin-1, and treats an unknown name as a temporary column.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_name_beyond_ascii_is_refused_for_its_table_and_both_remedies_work() -> Result<()> {
    let rig = rig(&["--profile", "4.0.7"]).await?;
    rig.source.run("ALTER TABLE b ADD COLUMN \"größe\" int").await?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("UnsupportedName").await?;
    assert!(fault.halted && fault.table == "public.b" && fault.message.contains("größe"), "{fault:?}");
    assert!(fault.fix.contains("consistency to Row") && fault.fix.contains("rename"), "{fault:?}");
    // The first remedy: the column is renamed at the source.
    rig.source.run("ALTER TABLE b RENAME \"größe\" TO size").await?;
    worker.until_ready().await?;
    rig.source.run("INSERT INTO b VALUES (1, 1, 'x', 7); INSERT INTO a VALUES (1, 1, 'x')").await?;
    rig.until_equal().await?;
    // The same while the worker runs, and the other remedy.
    rig.source.run("ALTER TABLE b ADD COLUMN \"naïve\" int; INSERT INTO b VALUES (2, 2, 'y', 8, 9)").await?;
    let fault = worker.until_fault("UnsupportedName").await?;
    assert!(fault.halted && fault.table == "public.b" && fault.message.contains("naïve"), "{fault:?}");
    worker.process().kill()?;
    let by_rows = rig.settings.clone().with("DBMAZZ_CONSISTENCY", "Row");
    let _worker = Worker::ready(&by_rows).await?;
    assert_eq!(rig.until_equal().await?, 3);
    let value = rig.sink.value(&format!("SELECT `naïve` FROM {DATABASE}.b WHERE id = 2")).await?;
    assert_eq!(value.as_deref(), Some("9"));
    Ok(())
}
