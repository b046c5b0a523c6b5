//! A fault of one table, one target or one row does not stop the others.

use anyhow::Result;
use serde_json::json;

use system::{wait, worker::Worker};

use super::rig::{DATABASE, Rig};

const TWO: &str =
    "CREATE TABLE stuck (id int PRIMARY KEY, v text); CREATE TABLE free (id int PRIMARY KEY, v text)";

async fn position(rig: &Rig) -> Result<String> {
    Ok(rig.source.value("SELECT pg_current_wal_insert_lsn()").await?.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_2_one_table_refused_without_end_lets_the_others_flow_and_heals() -> Result<()> {
    let mut rig = Rig::of(TWO, "stuck,free").await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_BUFFER", "4Mi");
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO stuck VALUES (0, 'before')").await?;
    rig.until_table_equal("stuck").await?;
    let refuse =
        json!({"stage": "commit", "table": format!("{DATABASE}.stuck"), "action": "too_many_versions"});
    rig.sink.inject(&refuse)?;
    let mut first = None;
    // Ten times the size of the buffer.
    for round in 1..=20 {
        let large = format!(
            "INSERT INTO stuck SELECT {round} * 100 + i, repeat('x', 100000) FROM generate_series(1, 20) i; \
             UPDATE stuck SET v = 'round {round}' WHERE id = 0; \
             INSERT INTO free SELECT {round} * 1000 + i, 'y' FROM generate_series(1, 500) i"
        );
        rig.source.run(&large).await?;
        // Behind the commit of the first transaction that is refused; what lies before it may be confirmed.
        first = first.or(Some(position(&rig).await?));
    }
    assert_eq!(rig.until_table_equal("free").await?, 10_000);
    let faults = worker.status().await?.faults;
    assert!(faults.iter().all(|fault| fault.table == "public.stuck") && !faults.is_empty(), "{faults:?}");
    let first = first.unwrap_or_default();
    let passed = rig.slot(&format!("confirmed_flush_lsn >= '{first}'")).await?;
    assert_eq!(passed.as_deref(), Some("f"), "PostgreSQL was told to forget what is not loaded");
    rig.sink.heal()?;
    rig.until_table_equal("stuck").await?;
    rig.until_equal().await?;
    rig.until_confirmed().await?;
    wait::until("no fault stands", async || Ok(worker.status().await?.faults.is_empty().then_some(()))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_a_table_is_behind_loses_nothing() -> Result<()> {
    let mut rig = Rig::of(TWO, "stuck,free").await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_BUFFER", "4Mi");
    let mut worker = rig.worker().await?;
    let refuse =
        json!({"stage": "commit", "table": format!("{DATABASE}.stuck"), "action": "too_many_versions"});
    rig.sink.inject(&refuse)?;
    for round in 1..=10 {
        let large = format!(
            "INSERT INTO stuck SELECT {round} * 100 + i, repeat('x', 100000) FROM generate_series(1, 20) i; \
             INSERT INTO free VALUES ({round}, 'y')"
        );
        rig.source.run(&large).await?;
    }
    rig.until_table_equal("free").await?;
    worker.process().kill()?;
    rig.sink.heal()?;
    worker.crash()?;
    rig.until_equal().await?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_change_of_one_target_does_not_hold_up_the_start_of_the_others() -> Result<()> {
    let rig =
        Rig::of("CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE u (id int PRIMARY KEY)", "t,u")
            .await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1); INSERT INTO u VALUES (1)").await?;
    rig.until_equal().await?;
    worker.process().kill()?;
    rig.sink.inject(&json!({"stage": "alter", "action": "hold"}))?;
    let change =
        "ALTER TABLE t ALTER a TYPE bigint; INSERT INTO t VALUES (2, 9000000000); INSERT INTO u VALUES (2)";
    rig.source.run(change).await?;
    worker.crash()?;
    assert_eq!(rig.until_table_equal("u").await?, 2);
    assert_eq!(rig.sink.value(&format!("SELECT COUNT(*) FROM {DATABASE}.t")).await?.as_deref(), Some("1"));
    rig.sink.heal()?;
    assert_eq!(rig.until_table_equal("t").await?, 2);
    rig.until_confirmed().await
}

/// The statements that create a table and this many rows of sixty mebibytes each.
fn large_rows(table: &str, rows: u32) -> (String, String) {
    let columns: Vec<_> = (1..=60).map(|column| format!("c{column} text")).collect();
    let values = vec!["repeat('0123456789abcdef', 65536)"; 60].join(", ");
    (
        format!("CREATE TABLE {table} (id int PRIMARY KEY, {})", columns.join(", ")),
        format!("INSERT INTO {table} SELECT g, {values} FROM generate_series(1, {rows}) g"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_sixty_mebibytes_takes_little_more_than_itself() -> Result<()> {
    let (create, insert) = large_rows("large", 2);
    let rig = Rig::of(&create, "large").await?;
    let worker = rig.worker().await?;
    let (idle, _) = worker.memory()?;
    rig.source.run(&insert).await?;
    assert_eq!(rig.until_table_equal("large").await?, 2);
    let (_, highest) = worker.memory()?;
    let mebibytes = highest.saturating_sub(idle) >> 20;
    println!("idle {} MiB, two rows of 60 MiB took {mebibytes} MiB more", idle >> 20);
    assert!(mebibytes <= 72 + 4, "{mebibytes} MiB beyond the idle process");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_beyond_the_memory_limit_halts_its_table_by_name_and_its_remedy_works() -> Result<()> {
    let (create, insert) = large_rows("large", 1);
    let mut rig =
        Rig::of(&format!("{create}; CREATE TABLE small (id int PRIMARY KEY)"), "large,small").await?;
    let settings = rig.settings.clone();
    rig.settings = settings.clone().with("DBMAZZ_MEMORY", "64Mi");
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO small VALUES (1)").await?;
    rig.source.run(&insert).await?;
    rig.source.run("INSERT INTO small VALUES (2)").await?;
    let fault = worker.until_fault("RowTooLarge").await?;
    assert!(fault.message.contains("public.large is 61 MiB large"), "{}", fault.message);
    assert_eq!(rig.until_table_equal("small").await?, 2, "the other table flows");
    let asked =
        fault.fix.split(' ').find_map(|word| word.parse::<u32>().ok()).expect("the remedy names an amount");
    worker.process().kill()?;
    rig.settings = settings.with("DBMAZZ_MEMORY", &format!("{asked}Mi"));
    let _worker = Worker::start(&rig.settings)?;
    assert_eq!(rig.until_table_equal("large").await?, 1);
    rig.until_equal().await?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_that_was_sent_and_lost_empties_nothing_that_came_later() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY)", "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1)").await?;
    rig.until_table_equal("t").await?;
    let hold = json!({"stage": "statement", "label": "TRUNCATE TABLE*", "count": 1, "action": "hold"});
    rig.sink.inject(&hold)?;
    rig.source.run("TRUNCATE t; INSERT INTO t VALUES (2)").await?;
    rig.sink.until_struck().await?;
    // StarRocks continues a statement after its client has disconnected.
    worker.crash()?;
    let count = format!("SELECT COUNT(*) FROM {DATABASE}.t WHERE id = 2");
    wait::until("the next worker waits for it, or has passed it", async || {
        let is_told =
            worker.status().await?.faults.iter().any(|fault| fault.message.contains("TRUNCATE of t"));
        let has_passed = rig.sink.value(&count).await?.as_deref() == Some("1");
        Ok((is_told || has_passed).then_some(()))
    })
    .await?;
    rig.sink.heal()?;
    rig.until_confirmed().await?;
    assert_eq!(rig.until_table_equal("t").await?, 1);
    Ok(())
}

const THREE: &str = "CREATE TABLE keyless (id int, v text); CREATE TABLE unfit (id int PRIMARY KEY, v text)";

/// The halted tables with their reasons; asserts that gRPC and HTTP report the same.
async fn halted(worker: &Worker) -> Result<Vec<(String, String)>> {
    let status = worker.status().await?;
    let faults = status.faults.into_iter().filter(|fault| fault.halted && !fault.fix.is_empty());
    let told: Vec<_> = faults.map(|fault| (fault.table, fault.reason)).collect();
    let page: serde_json::Value = serde_json::from_str(&worker.http("/status")?.1)?;
    let text = |fault: &serde_json::Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
    let faults = page["faults"].as_array().into_iter().flatten();
    let shown: Vec<_> = faults.map(|fault| (text(fault, "table"), text(fault, "reason"))).collect();
    anyhow::ensure!(told == shown, "{told:?} over gRPC, and {shown:?} over HTTP");
    Ok(told)
}

async fn until_halted(worker: &Worker, expected: &[(&str, &str)]) -> Result<()> {
    wait::until("each halted table tells its own reason", async || {
        let seen = halted(worker).await?;
        let seen: Vec<_> = seen.iter().map(|(table, why)| (table.as_str(), why.as_str())).collect();
        anyhow::ensure!(seen == expected, "{seen:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_that_stands_still_tells_its_own_reason_also_when_all_do() -> Result<()> {
    let rig = Rig::of(THREE, "keyless,unfit,absent").await?;
    rig.sink.rows(&format!("CREATE DATABASE {DATABASE}")).await?;
    let create = "CREATE TABLE app.unfit (id INT NOT NULL, v INT) PRIMARY KEY (id) DISTRIBUTED BY HASH(id) \
                  PROPERTIES (\"replication_num\" = \"1\")";
    rig.sink.rows(create).await?;
    let mut worker = Worker::start(&rig.settings)?;
    let all = [
        ("public.absent", "SourceTableMissing"),
        ("public.keyless", "PrimaryKeyMissing"),
        ("public.unfit", "TargetIncompatible"),
    ];
    until_halted(&worker, &all).await?;
    let (code, ready) = worker.http("/readyz")?;
    assert!(code == 503 && all.iter().all(|(table, _)| ready.contains(table)), "{code} {ready}");
    let page: serde_json::Value = serde_json::from_str(&worker.http("/status")?.1)?;
    let detail = page["stage_detail"].as_str().unwrap_or_default();
    assert!(detail.contains("every table") && page["ready"] == false, "{page}");
    // The faults are removed one after the other by their remedies, and the remaining ones stay reported.
    rig.source.run("ALTER TABLE keyless ADD PRIMARY KEY (id)").await?;
    until_halted(&worker, &[all[0], all[2]]).await?;
    rig.source.run("INSERT INTO keyless VALUES (1, 'x'); INSERT INTO unfit VALUES (1, 'y')").await?;
    assert_eq!(rig.until_table_equal("keyless").await?, 1);
    worker.crash()?;
    until_halted(&worker, &[all[0], all[2]]).await?;
    rig.source.run("CREATE TABLE absent (id int PRIMARY KEY)").await?;
    until_halted(&worker, &[all[2]]).await?;
    rig.sink.rows("DROP TABLE app.unfit FORCE").await?;
    worker.until_ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_over_all_tables_names_every_table_in_its_way() -> Result<()> {
    let mut rig = Rig::of(THREE, "unfit,keyless,absent").await?;
    rig.sink = system::sink::Sink::with(&["--profile", "4.0.7"]).await?;
    let url = rig.postgres.url("postgres");
    rig.settings = system::worker::Settings::new(&url, &rig.sink, DATABASE, "unfit,keyless,absent")?
        .with("DBMAZZ_CONSISTENCY", "Transaction");
    let mut worker = Worker::start(&rig.settings)?;
    let source = [("public.absent", "SourceTableMissing"), ("public.keyless", "PrimaryKeyMissing")];
    let unfit = ("public.unfit", "ReplicaIdentityInsufficient");
    until_halted(&worker, &[source[0], source[1], unfit]).await?;
    rig.source.run("ALTER TABLE unfit REPLICA IDENTITY FULL").await?;
    until_halted(&worker, &source).await?;
    rig.source
        .run("CREATE TABLE absent (id int PRIMARY KEY); ALTER TABLE keyless ADD PRIMARY KEY (id), REPLICA IDENTITY FULL")
        .await?;
    worker.until_ready().await?;
    rig.source.run("INSERT INTO keyless VALUES (1, 'x'); INSERT INTO unfit VALUES (1, 'y')").await?;
    assert_eq!(rig.until_equal().await?, 2);
    Ok(())
}
