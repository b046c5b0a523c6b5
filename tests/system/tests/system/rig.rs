//! The common fixture: a PostgreSQL, a stand-in, and the settings of a worker between them, without Kubernetes.

use anyhow::{Context, Result};
use serde_json::json;
use system::{
    sink::Sink,
    source::Source,
    verify, wait,
    worker::{Settings, Worker},
    workload::{self, Workload},
};
use testbed::postgres::{Postgres, PostgresOptions};
use tokio::task::JoinSet;

pub(crate) const DATABASE: &str = "app";

pub(crate) struct Rig {
    pub(crate) postgres: Postgres,
    pub(crate) sink: Sink,
    pub(crate) source: Source,
    pub(crate) settings: Settings,
}

impl Rig {
    /// A rig with the workload's tables.
    pub(crate) async fn new() -> Result<Self> {
        Self::with(PostgresOptions::default(), workload::SCHEMA, "orders,customers").await
    }

    /// A rig with the tables of the test.
    pub(crate) async fn of(schema: &str, tables: &str) -> Result<Self> {
        Self::with(PostgresOptions::default(), schema, tables).await
    }

    pub(crate) async fn with(options: PostgresOptions, schema: &str, tables: &str) -> Result<Self> {
        let postgres = Postgres::start(options)?;
        let sink = Sink::start().await?;
        let source = Source::connect(&postgres.url("postgres")).await?;
        source.run(schema).await?;
        // A short interval makes many loads, and so more points at which a failure can occur.
        let settings = Settings::new(&postgres.url("postgres"), &sink, DATABASE, tables)?
            .with("FLUSH_INTERVAL_MS", "50");
        Ok(Self { postgres, sink, source, settings })
    }

    pub(crate) async fn worker(&self) -> Result<Worker> {
        Worker::ready(&self.settings).await
    }

    /// Runs this many transactions of the workload.
    pub(crate) async fn write(&self, workload: &mut Workload, transactions: usize) -> Result<()> {
        for _ in 0..transactions {
            workload.step(&self.source).await?;
        }
        Ok(())
    }

    /// The commit of this statement is in the WAL, and no other session sees it, until standbys are not waited for.
    pub(crate) async fn commit_unseen(&self, sql: &str) -> Result<JoinSet<Result<()>>> {
        self.source.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await?;
        self.source.run("SELECT pg_reload_conf()").await?;
        wait::until("commits wait for a standby", async || {
            let names = self.source.value("SHOW synchronous_standby_names").await?;
            Ok((names.as_deref() == Some("nobody")).then_some(()))
        })
        .await?;
        let (url, sql) = (self.postgres.url("postgres"), sql.to_owned());
        let mut waiting = JoinSet::new();
        waiting.spawn(async move {
            let source = Source::connect(&url).await?;
            source.run("SET synchronous_commit = on").await?;
            source.run(&sql).await
        });
        wait::until("a commit waits", async || {
            let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
            self.source.value(waits).await.map(|found| found.map(|_| ()))
        })
        .await?;
        Ok(waiting)
    }

    /// Ends the wait for a standby: the commits become visible.
    pub(crate) async fn see(&self, mut waiting: JoinSet<Result<()>>) -> Result<()> {
        self.source.run("ALTER SYSTEM RESET synchronous_standby_names").await?;
        self.source.run("SELECT pg_reload_conf()").await?;
        while let Some(seen) = waiting.join_next().await {
            seen??;
        }
        Ok(())
    }

    /// Waits until all tables are equal on both sides; returns the number of their rows.
    pub(crate) async fn until_equal(&self) -> Result<u64> {
        verify::until_equal(&self.settings).await
    }

    /// Waits until one table is equal on both sides; returns the number of its rows.
    pub(crate) async fn until_table_equal(&self, table: &str) -> Result<u64> {
        verify::until_tables_equal(&self.settings, &[table]).await
    }

    /// The number of committed loads into the tables of the test, without those into the `dbmazz_` tables.
    pub(crate) fn loads(&self) -> Result<u64> {
        let stats = self.sink.stats()?;
        let tables = stats["tables"].as_object().into_iter().flatten();
        let tables = tables.filter(|(name, _)| !name.contains("dbmazz_"));
        Ok(tables.filter_map(|(_, table)| table["loads"].as_u64()).sum())
    }

    /// Waits until another load was committed.
    pub(crate) async fn until_loaded_after(&self, loads: u64) -> Result<()> {
        wait::until("another load is committed", async || Ok((self.loads()? > loads).then_some(()))).await
    }

    /// Asks the stand-in for a fault on loads of any table.
    pub(crate) fn inject(&self, stage: &str, action: serde_json::Value, count: u32) -> Result<()> {
        self.sink.inject(&json!({"stage": stage, "action": action, "count": count}))
    }

    /// Deletes the claims of the job's slot with the statement of the remedy.
    pub(crate) async fn forget_as_told(&self, fault: &proto::Fault) -> Result<()> {
        let told = fault.fix.split_once("DELETE FROM `dbmazz_jobs` ");
        let told = told.and_then(|(_, rest)| rest.split_once(';')).context("a statement")?;
        self.sink.rows(&format!("DELETE FROM `{DATABASE}`.`dbmazz_jobs` {}", told.0)).await?;
        Ok(())
    }

    /// The value of this column for the worker's slot.
    pub(crate) async fn slot(&self, column: &str) -> Result<Option<String>> {
        let sql = format!("SELECT {column} FROM pg_replication_slots WHERE slot_name = 'dbmazz_slot'");
        self.source.value(&sql).await
    }

    /// The process id of the walsender that serves the worker's replication connection.
    pub(crate) async fn walsender(&self) -> Result<String> {
        wait::until("the slot is active", async || self.slot("active_pid").await).await
    }

    /// Waits until everything that is in PostgreSQL now is confirmed.
    pub(crate) async fn until_confirmed(&self) -> Result<()> {
        let now = self.source.value("SELECT pg_current_wal_insert_lsn()").await?.unwrap_or_default();
        wait::until("everything is confirmed", async || {
            let confirmed = self.slot(&format!("confirmed_flush_lsn >= '{now}'")).await?;
            Ok((confirmed.as_deref() == Some("t")).then_some(()))
        })
        .await
    }
}
