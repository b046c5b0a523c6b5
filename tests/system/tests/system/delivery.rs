//! The promise: after any crash of any part, StarRocks ends equal to PostgreSQL.

use anyhow::Result;
use serde_json::json;
use system::{wait, workload::Workload};
use testbed::postgres::PostgresOptions;

use super::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_arrives_value_by_value() -> Result<()> {
    let rig = Rig::new().await?;
    let _worker = rig.worker().await?;
    rig.write(&mut Workload::new(1, 300), 400).await?;
    assert!(rig.until_equal().await? > 100);
    assert_eq!(rig.sink.stats()?["fe_body_bytes"], 0, "the frontend is never sent a body");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_1_to_3_twenty_kills_under_load_lose_nothing() -> Result<()> {
    let rig = Rig::new().await?;
    let mut worker = rig.worker().await?;
    let (mut workload, mut random) = (Workload::new(2, 200), fastrand::Rng::with_seed(2));
    for _ in 0..20 {
        let loads = rig.loads()?;
        rig.write(&mut workload, random.usize(1..40)).await?;
        if random.bool() {
            rig.until_loaded_after(loads).await?;
        }
        worker.crash()?;
    }
    rig.write(&mut workload, 20).await?;
    rig.until_equal().await?;
    assert_eq!(rig.source.value("SELECT count(*) FROM pg_replication_slots").await?.as_deref(), Some("1"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_1_a_connection_cut_again_and_again_is_resumed_on_the_same_slot() -> Result<()> {
    let rig = Rig::new().await?;
    let mut worker = rig.worker().await?;
    let pid = worker.process().pid();
    let mut workload = Workload::new(3, 200);
    for _ in 0..8 {
        let walsender = rig.walsender().await?;
        rig.write(&mut workload, 15).await?;
        rig.source.run(&format!("SELECT pg_terminate_backend({walsender})")).await?;
        wait::until("another connection serves the slot", async || {
            let now = rig.slot("active_pid").await?;
            Ok(now.filter(|now| *now != walsender))
        })
        .await?;
    }
    rig.until_equal().await?;
    assert_eq!(worker.process().pid(), pid);
    assert!(worker.process().ended()?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_postgresql_is_survived() -> Result<()> {
    let mut rig = Rig::new().await?;
    let _worker = rig.worker().await?;
    let mut workload = Workload::new(4, 200);
    rig.write(&mut workload, 30).await?;
    rig.postgres.restart()?;
    rig.source = system::source::Source::connect(&rig.postgres.url("postgres")).await?;
    rig.write(&mut workload, 30).await?;
    rig.until_equal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_4_answers_lost_after_the_commit_are_resolved_by_the_labels_state() -> Result<()> {
    let rig = Rig::new().await?;
    let _worker = rig.worker().await?;
    rig.inject("answer", json!("close"), 3)?;
    rig.inject("answer", json!("cut_answer"), 2)?;
    rig.write(&mut Workload::new(5, 200), 200).await?;
    rig.until_equal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_4_every_place_where_a_load_can_break_is_survived() -> Result<()> {
    let rig = Rig::new().await?;
    let _worker = rig.worker().await?;
    let mut workload = Workload::new(6, 200);
    let breaks = [
        ("redirect", json!("server_error")),
        ("redirect", json!("no_backend")),
        ("redirect", json!("close")),
        ("begin", json!("close")),
        ("begin", json!("running_transaction_limit")),
        ("plan", json!({"fail": {"message": "timeout"}})),
        ("continue", json!("close")),
        ("body", json!("close")),
        ("commit", json!("close")),
        ("commit", json!("too_many_versions")),
        ("commit", json!({"publish_timeout": {"visible_after_millis": 300}})),
        ("answer", json!("close")),
    ];
    for (stage, action) in breaks {
        rig.inject(stage, action, 2)?;
        rig.write(&mut workload, 10).await?;
        // One fault at a time: consecutive faults would only test how long the back-off becomes.
        rig.until_equal().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn starrocks_away_for_long_stops_the_reading_and_not_the_connection() -> Result<()> {
    let options = PostgresOptions::default().with("wal_sender_timeout", "3s");
    let schema = system::workload::SCHEMA;
    let mut rig = Rig::with(options, schema, "orders,customers").await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_BUFFER", "4Mi");
    let mut worker = rig.worker().await?;
    let walsender = rig.walsender().await?;
    rig.sink.down()?;
    // Many times the size of the buffer.
    let fill = "INSERT INTO orders (id, note) SELECT id, repeat(md5(id::text), 40) FROM generate_series(1, 40000) id";
    rig.source.run(fill).await?;
    let fault = worker.until_fault("SinkUnreachable").await?;
    assert!(!fault.fix.is_empty());
    let sql = "SELECT count(*) FROM pg_stat_replication WHERE reply_time > \
               (SELECT max(backend_start) FROM pg_stat_replication) + interval '10 seconds'";
    wait::until("keepalives were answered for three times the time-out", async || {
        Ok((rig.source.value(sql).await?.as_deref() == Some("1")).then_some(()))
    })
    .await?;
    assert_eq!(rig.walsender().await?, walsender, "the connection was kept");
    let (_, peak) = worker.memory()?;
    assert!(peak < 64 << 20, "resident memory reached {peak} bytes");
    rig.sink.up()?;
    rig.until_equal().await?;
    worker.until_ready().await?;
    assert!(worker.process().ended()?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_2_a_quiet_job_does_not_hold_back_the_wal_of_a_busy_neighbour() -> Result<()> {
    let rig = Rig::new().await?;
    let _worker = rig.worker().await?;
    rig.source.run("CREATE TABLE elsewhere AS SELECT generate_series(1, 20000) AS id").await?;
    rig.until_confirmed().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_2_nothing_is_confirmed_while_a_load_is_open() -> Result<()> {
    // The worker sends a status update every third of this time.
    let options = PostgresOptions::default().with("wal_sender_timeout", "9s");
    let rig = Rig::with(options, system::workload::SCHEMA, "orders,customers").await?;
    let worker = rig.worker().await?;
    rig.until_confirmed().await?;
    rig.sink.inject(&json!({"table": "app.customers", "stage": "commit", "action": "hold"}))?;
    rig.source.run("INSERT INTO customers VALUES ('r', 'c', 'n')").await?;
    let between = rig.source.value("SELECT pg_current_wal_insert_lsn()").await?.unwrap_or_default();
    rig.source.run("INSERT INTO orders (id) VALUES (1)").await?;
    rig.until_table_equal("orders").await?;
    // After the next status update, the confirmed position must not have passed the open load.
    let loaded =
        rig.source.value("SELECT clock_timestamp() + interval '1 second'").await?.unwrap_or_default();
    wait::until("another status update has come", async || {
        let told = format!("SELECT reply_time > '{loaded}' FROM pg_stat_replication");
        Ok((rig.source.value(&told).await?.as_deref() == Some("t")).then_some(()))
    })
    .await?;
    assert!(worker.status().await?.current_lsn > 0);
    let confirmed = rig.slot(&format!("confirmed_flush_lsn <= '{between}'")).await?;
    assert_eq!(confirmed.as_deref(), Some("t"));
    rig.sink.heal()?;
    rig.until_confirmed().await?;
    rig.until_equal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_6_a_refused_row_halts_its_table_while_others_flow() -> Result<()> {
    let rig = Rig::new().await?;
    let worker = rig.worker().await?;
    rig.sink.inject(&json!({
        "table": "app.customers", "stage": "commit", "action": {"refuse_row": {"reason": "Value is overflow"}}
    }))?;
    rig.source.run("INSERT INTO customers VALUES ('r', 'c', 'n')").await?;
    let fault = worker.until_fault("RowsRefused").await?;
    assert_eq!((fault.table.as_str(), fault.halted), ("public.customers", true));
    rig.source.run("INSERT INTO orders (id) VALUES (1), (2)").await?;
    rig.until_table_equal("orders").await?;
    assert_eq!(rig.sink.value("SELECT COUNT(*) FROM app.customers").await?.as_deref(), Some("0"));
    // The refused row is still in PostgreSQL: a worker that starts without the cause loads it.
    rig.sink.heal()?;
    drop(worker);
    let _worker = rig.worker().await?;
    rig.until_equal().await?;
    Ok(())
}
