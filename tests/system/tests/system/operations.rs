//! Operations on a running worker: pause, resume, drain, stop, status.

use anyhow::{Context, Result};
use proto::{ReloadConfigRequest, StopRequest};
use system::{source::Source, wait, worker::Worker, workload::Workload};
use testbed::postgres::PostgresOptions;

use super::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_worker_reads_nothing_and_keeps_its_connection() -> Result<()> {
    let options = PostgresOptions::default().with("wal_sender_timeout", "2s");
    let rig = Rig::with(options, system::workload::SCHEMA, "orders,customers").await?;
    let worker = rig.worker().await?;
    let walsender = rig.walsender().await?;
    assert!(worker.pause().await?.success);
    assert!(!worker.pause().await?.success, "it is paused already");
    rig.write(&mut Workload::new(11, 100), 20).await?;
    let sql = "SELECT count(*) FROM pg_stat_replication WHERE reply_time > \
               (SELECT max(backend_start) FROM pg_stat_replication) + interval '6 seconds'";
    wait::until("three time-outs have passed", async || {
        Ok((rig.source.value(sql).await?.as_deref() == Some("1")).then_some(()))
    })
    .await?;
    assert_eq!(rig.walsender().await?, walsender);
    let status = worker.status().await?;
    assert_eq!((status.state(), status.ready), (proto::CdcState::Paused, true));
    assert!(worker.resume().await?.success);
    assert!(!worker.resume().await?.success, "it is running already");
    rig.until_equal().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sizes_of_loads_are_taken_up_without_a_restart() -> Result<()> {
    let rig = Rig::new().await?;
    let worker = rig.worker().await?;
    let rows = |from: u32| {
        format!(
            "INSERT INTO customers SELECT 'r', i::text, 'n', 1, 1 FROM generate_series({from}, {from} + 199) i"
        )
    };
    rig.source.run(&rows(0)).await?;
    rig.until_equal().await?;
    let before = loads_of_customers(&rig)?;
    assert!(before.iter().any(|rows| *rows > 50), "{before:?}");
    // The same tables in another order, in the spelling that the operator uses.
    let tables = vec!["public.customers".to_owned(), "orders".to_owned()];
    let sizes = ReloadConfigRequest { flush_size: 10, tables, ..Default::default() };
    let pid = rig.walsender().await?;
    let answer = worker.reload(sizes).await?;
    assert!(answer.success, "{}", answer.message);
    let refused = worker.reload(ReloadConfigRequest { max_bytes: 1, ..Default::default() }).await?;
    assert!(!refused.success && refused.message.contains("maxBytes"), "{}", refused.message);
    let known = worker.status().await?.batch.unwrap_or_default();
    assert_eq!((known.max_rows, known.max_bytes, known.min_interval_ms), (10, 16 << 20, 50));
    rig.source.run(&rows(1000)).await?;
    rig.until_equal().await?;
    let after = loads_of_customers(&rig)?.split_off(before.len());
    assert!(after.len() >= 20 && after.iter().all(|rows| *rows <= 10), "{after:?}");
    assert_eq!(rig.walsender().await?, pid, "the stream went on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_come_and_go_without_a_restart() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY)", "t").await?;
    let mut worker = rig.worker().await?;
    let select = async |names: &[&str]| {
        let tables = names.iter().map(|name| (*name).to_owned()).collect();
        worker.reload(ReloadConfigRequest { tables, ..Default::default() }).await
    };
    rig.source.run("INSERT INTO t VALUES (1)").await?;
    rig.until_table_equal("t").await?;
    rig.source.run("CREATE TABLE v (id int PRIMARY KEY); INSERT INTO t VALUES (2)").await?;
    assert!(select(&["t", "v"]).await?.success);
    // The first row of the new table must not be written before the table is published.
    let published = "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'v'";
    let is_published =
        async || Ok((rig.source.value(published).await?.as_deref() == Some("1")).then_some(()));
    system::wait::until("the new table is published", is_published).await?;
    rig.source.run("INSERT INTO v VALUES (1); INSERT INTO t VALUES (3)").await?;
    rig.until_table_equal("t").await?;
    rig.until_table_equal("v").await?;
    assert_eq!(worker.status().await?.tables, ["public.t", "public.v"]);
    assert!(!select(&["v", "public.v"]).await?.success, "one table twice");
    assert!(select(&["v"]).await?.success);
    system::wait::until("the other table is left", async || {
        let status = worker.status().await?;
        Ok((status.tables == ["public.v"] && status.ready).then_some(()))
    })
    .await?;
    rig.source.run("INSERT INTO t VALUES (4); INSERT INTO v VALUES (2)").await?;
    rig.until_table_equal("v").await?;
    assert_eq!(rig.sink.value("SELECT COUNT(*) FROM app.t").await?.as_deref(), Some("3"));
    assert_eq!(worker.process().said().matches("control listened").count(), 1, "it is the same process");
    rig.until_confirmed().await
}

/// The number of rows in each load of the table so far.
fn loads_of_customers(rig: &Rig) -> Result<Vec<u64>> {
    let stats = rig.sink.stats()?;
    let loads = stats["recent"].as_array().into_iter().flatten();
    let loads = loads.filter(|load| load["table"] == "app.customers");
    Ok(loads.filter_map(|load| load["rows"].as_u64()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_leaves_nothing_to_replay() -> Result<()> {
    let rig = Rig::new().await?;
    let worker = rig.worker().await?;
    rig.write(&mut Workload::new(12, 100), 60).await?;
    rig.until_equal().await?;
    let answer = worker.drain().await?;
    assert!(answer.success, "{}", answer.message);
    assert_eq!(worker.status().await?.state(), proto::CdcState::Stopped);
    assert!(!worker.drain().await?.success, "it is stopped already");
    let loads = rig.loads()?;
    drop(worker);
    let _worker = rig.worker().await?;
    rig.until_confirmed().await?;
    assert_eq!(rig.loads()?, loads, "nothing is loaded twice");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_confirms_and_keeps_the_slot() -> Result<()> {
    let rig = Rig::new().await?;
    let mut worker = rig.worker().await?;
    rig.write(&mut Workload::new(13, 100), 60).await?;
    rig.until_equal().await?;
    let status = worker.process().terminate().await?;
    assert!(status.success(), "{}", worker.process().said());
    assert!(rig.slot("confirmed_flush_lsn").await?.is_some(), "rule 1: the slot stays");
    let loads = rig.loads()?;
    let _worker = rig.worker().await?;
    rig.until_confirmed().await?;
    assert_eq!(rig.loads()?, loads);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_drops_slot_and_publication_unless_told_to_keep_them() -> Result<()> {
    let rig = Rig::new().await?;
    let kept = rig.worker().await?;
    assert!(kept.stop(StopRequest { skip_slot_cleanup: true, ..StopRequest::default() }).await?.success);
    assert!(rig.slot("slot_name").await?.is_some());
    drop(kept);
    let dropped = rig.worker().await?;
    let answer = dropped.stop(StopRequest::default()).await?;
    assert!(answer.success, "{}", answer.message);
    assert_eq!(rig.slot("slot_name").await?, None);
    assert_eq!(rig.source.value("SELECT count(*) FROM pg_publication").await?.as_deref(), Some("0"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jobs_side_by_side_do_not_disturb_each_other() -> Result<()> {
    let rig = Rig::new().await?;
    let second = rig.settings.clone().with("SINK_DATABASE", "second");
    let second = second
        .on_free_ports()?
        .with("SOURCE_SLOT_NAME", "second_slot")
        .with("SOURCE_PUBLICATION_NAME", "second_pub");
    let _one = rig.worker().await?;
    let mut other = Worker::ready(&second).await?;
    let mut workload = Workload::new(14, 100);
    rig.write(&mut workload, 30).await?;
    other.crash()?;
    rig.write(&mut workload, 30).await?;
    rig.until_equal().await?;
    system::verify::until_equal(&second).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_tell_the_truth() -> Result<()> {
    let rig = Rig::new().await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO orders (id) SELECT generate_series(1, 50)").await?;
    rig.until_equal().await?;
    rig.until_confirmed().await?;
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(worker.http(path)?.0, 200, "{path}");
    }
    let metrics = worker.http("/metrics")?.1;
    assert!(
        worker.http("/metrics/prometheus")?.1.contains("dbmazz_events_processed_total"),
        "one page, two names"
    );
    for name in ["dbmazz_events_processed_total 50", "dbmazz_pending_events 0", "dbmazz_batches_sent_total"] {
        assert!(metrics.contains(name), "no {name} in\n{metrics}");
    }
    rig.sink.down()?;
    rig.source.run("INSERT INTO orders (id) VALUES (51)").await?;
    worker.until_fault("SinkUnreachable").await?;
    let (status, body) = worker.http("/readyz")?;
    assert_eq!(status, 503);
    assert!(body.contains("SinkUnreachable"), "{body}");
    assert_eq!(worker.http("/livez")?.0, 200, "a worker that waits for StarRocks is alive");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_shuts_down_although_a_halted_table_keeps_its_wal() -> Result<()> {
    let rig = Rig::new().await?;
    let mut worker = rig.worker().await?;
    rig.sink.inject(&serde_json::json!({
        "table": "app.customers", "stage": "commit", "action": {"refuse_row": {"reason": "Value is overflow"}}
    }))?;
    rig.source.run("INSERT INTO customers VALUES ('r', 'c', 'n')").await?;
    worker.until_fault("RowsRefused").await?;
    let Rig { mut postgres, sink, source, settings } = rig;
    // The walsender waits until its client has confirmed everything, or has gone.
    let stopped = tokio::task::spawn_blocking(move || postgres.stop().map(|()| postgres));
    let stopped = tokio::time::timeout(wait::LIMIT, stopped).await;
    let mut postgres = stopped.with_context(|| worker.process().said())???;
    postgres.start_again()?;
    sink.heal()?;
    worker.crash()?;
    drop(source);
    let rig = Rig { source: Source::connect(&postgres.url("postgres")).await?, postgres, sink, settings };
    rig.until_equal().await?;
    Ok(())
}
