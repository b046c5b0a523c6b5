//! What most tests begin with: a PostgreSQL, a stand-in, and a worker without Kubernetes between them.

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

pub(crate) const DATABASE: &str = "app";

pub(crate) struct Rig {
    pub(crate) postgres: Postgres,
    pub(crate) sink: Sink,
    pub(crate) source: Source,
    pub(crate) settings: Settings,
}

impl Rig {
    /// With the workload's tables.
    pub(crate) async fn new() -> Result<Self> {
        Self::with(PostgresOptions::default(), workload::SCHEMA, "orders,customers").await
    }

    /// With tables of the test's own.
    pub(crate) async fn of(schema: &str, tables: &str) -> Result<Self> {
        Self::with(PostgresOptions::default(), schema, tables).await
    }

    pub(crate) async fn with(options: PostgresOptions, schema: &str, tables: &str) -> Result<Self> {
        let postgres = Postgres::start(options)?;
        let sink = Sink::start().await?;
        let source = Source::connect(&postgres.url("postgres")).await?;
        source.run(schema).await?;
        // Close loads make many of them, and so more moments at which something can go wrong.
        let settings = Settings::new(&postgres.url("postgres"), &sink, DATABASE, tables)?
            .with("FLUSH_INTERVAL_MS", "50");
        Ok(Self { postgres, sink, source, settings })
    }

    pub(crate) async fn worker(&self) -> Result<Worker> {
        Worker::ready(&self.settings).await
    }

    /// Runs so many transactions of the workload.
    pub(crate) async fn write(&self, workload: &mut Workload, transactions: usize) -> Result<()> {
        for _ in 0..transactions {
            workload.step(&self.source).await?;
        }
        Ok(())
    }

    /// Both sides of all tables become equal; says how many rows they have.
    pub(crate) async fn until_equal(&self) -> Result<u64> {
        verify::until_equal(&self.settings).await
    }

    /// Both sides of one table become equal.
    pub(crate) async fn until_table_equal(&self, table: &str) -> Result<u64> {
        verify::until_tables_equal(&self.settings, &[table]).await
    }

    /// Loads of the job's tables that the stand-in has committed; its own tables do not count.
    pub(crate) fn loads(&self) -> Result<u64> {
        let stats = self.sink.stats()?;
        let tables = stats["tables"].as_object().into_iter().flatten();
        let tables = tables.filter(|(name, _)| !name.contains("dbmazz_"));
        Ok(tables.filter_map(|(_, table)| table["loads"].as_u64()).sum())
    }

    /// Waits until something new was loaded.
    pub(crate) async fn until_loaded_after(&self, loads: u64) -> Result<()> {
        wait::until("another load is committed", async || Ok((self.loads()? > loads).then_some(()))).await
    }

    /// Asks the stand-in for a fault on loads of any table.
    pub(crate) fn inject(&self, stage: &str, action: serde_json::Value, count: u32) -> Result<()> {
        self.sink.inject(&json!({"stage": stage, "action": action, "count": count}))
    }

    /// Deletes the claims of the job's slot, by the statement of the remedy.
    pub(crate) async fn forget_as_told(&self, fault: &proto::Fault) -> Result<()> {
        let told = fault.fix.split_once("DELETE FROM `dbmazz_jobs` ");
        let told = told.and_then(|(_, rest)| rest.split_once(';')).context("a statement")?;
        self.sink.rows(&format!("DELETE FROM `{DATABASE}`.`dbmazz_jobs` {}", told.0)).await?;
        Ok(())
    }

    /// One value of the worker's slot.
    pub(crate) async fn slot(&self, column: &str) -> Result<Option<String>> {
        let sql = format!("SELECT {column} FROM pg_replication_slots WHERE slot_name = 'dbmazz_slot'");
        self.source.value(&sql).await
    }

    /// The process that serves the worker's replication connection.
    pub(crate) async fn walsender(&self) -> Result<String> {
        wait::until("the slot is active", async || self.slot("active_pid").await).await
    }

    /// Waits until PostgreSQL was told that everything until now is durable.
    pub(crate) async fn until_confirmed(&self) -> Result<()> {
        let now = self.source.value("SELECT pg_current_wal_insert_lsn()").await?.unwrap_or_default();
        wait::until("everything is confirmed", async || {
            let confirmed = self.slot(&format!("confirmed_flush_lsn >= '{now}'")).await?;
            Ok((confirmed.as_deref() == Some("t")).then_some(()))
        })
        .await
    }
}
