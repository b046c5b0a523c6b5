//! The screen of the demo: throughput, lag, row counts on both sides, and the output of `kubectl get`.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

use anyhow::{Context, Result};
use serde_json::Value as Json;
use system::{source::Source, workload};

use crate::stage::{DATABASE, JOB, Stage};

/// How far the copy of existing rows is, in the operator's words.
const COPIED: &str = "--output=jsonpath={.status.conditions[?(@.type=='SnapshotComplete')].message}";

#[derive(Debug)]
pub(crate) struct Screen<'a> {
    stage: &'a Stage,
    source: Source,
    last: Option<(Instant, u64)>,
}

impl<'a> Screen<'a> {
    pub(crate) async fn new(stage: &'a Stage) -> Result<Self> {
        let source = stage.source().await?;
        Ok(Self { stage, source, last: None })
    }

    pub(crate) async fn draw(&mut self) -> Result<()> {
        let text = self.text().await?;
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            // Home and clear: the screen changes in place.
            write!(out, "\x1b[H\x1b[2J")?;
        }
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    async fn text(&mut self) -> Result<String> {
        let rate = self.rate()?;
        let mut lines = vec![
            "dbmazz: PostgreSQL to StarRocks, run by Kubernetes".to_owned(),
            String::new(),
            format!("rows loaded a second   {rate:>12.0}"),
            format!("lag                    {:>12}", self.lag().await?),
            String::new(),
            format!("{:<20} {:>12} {:>12}", "table", "PostgreSQL", "StarRocks"),
        ];
        for table in workload::TABLES {
            lines.push(self.counts(table).await?);
        }
        lines.push(String::new());
        lines.push(self.stage.kubectl(&["get", "replicationjobs"])?);
        lines.push(self.stage.kubectl(&["get", "replicationjob", JOB, COPIED])?);
        if io::stdout().is_terminal() {
            lines.push(
                "look further, from another terminal (Ctrl-C here ends and removes everything):".to_owned(),
            );
            lines.extend(self.stage.hints().into_iter().map(|hint| format!("  {hint}")));
        }
        Ok(lines.join("\n"))
    }

    async fn counts(&self, table: &str) -> Result<String> {
        let source = self.source.value(&format!("SELECT count(*) FROM {table}")).await?;
        let live = format!("SELECT count(*) FROM {DATABASE}.{table} WHERE dbmazz_is_deleted = 0");
        let sink = self.stage.sink().value(&live).await?;
        let count = |count: Option<String>| count.unwrap_or_default();
        Ok(format!("{:<20} {:>12} {:>12}", table, count(source), count(sink)))
    }

    /// Bytes of WAL that StarRocks does not have yet, as PostgreSQL sees it.
    async fn lag(&self) -> Result<String> {
        let sql = "SELECT pg_size_pretty(pg_current_wal_lsn() - confirmed_flush_lsn) \
                   FROM pg_replication_slots WHERE slot_name LIKE 'dbmazz%'";
        Ok(self.source.value(sql).await?.unwrap_or_else(|| "no slot".to_owned()))
    }

    fn rate(&mut self) -> Result<f64> {
        let stats = self.stage.sink().stats()?;
        let tables = stats["tables"].as_object().context("the stand-in's tables")?;
        let rows = tables.values().filter_map(|table: &Json| table["rows_loaded"].as_u64()).sum();
        let now = Instant::now();
        let rate =
            self.last.map_or(0.0, |(then, before)| (rows - before) as f64 / (now - then).as_secs_f64());
        self.last = Some((now, rows));
        Ok(rate)
    }
}
