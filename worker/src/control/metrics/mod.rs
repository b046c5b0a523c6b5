//! The metrics in the text format of Prometheus, from the job's progress. `docs/metrics.md` lists them.
//!
//! The first five names are the dbmazz contract's and have no labels. The others are ours, in base units. Names here
//! are without `_total` and `_info`: the encoder adds them.

use std::fmt;

use crds::Reason;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};

use super::{known::Known, process};
use crate::progress::{BOUNDS, CopyView, Durations, Loss, SlotHealth, TableProgress, View};

/// The media type of [`text`].
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const LAG: &str = "Age of the oldest commit not yet durable, or made durable in the last three seconds; while nothing is received, the time since the last message";

/// All metrics, with their current values.
pub(super) fn text(known: &Known) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Sample {
        view: known.view(),
        per_second: known.changes_per_second(),
        version: known.info.version,
    }));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Sample {
    view: View,
    per_second: f64,
    version: &'static str,
}

impl Collector for Sample {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        contract(&mut page, &self.view, self.per_second)?;
        positions(&mut page, &self.view)?;
        slot(&mut page, self.view.slot.as_ref())?;
        loads(&mut page, &self.view)?;
        copies(&mut page, &self.view)?;
        faults(&mut page, &self.view)?;
        process(&mut page, &self.view, self.version)
    }
}

fn contract(page: &mut Page<'_>, view: &View, per_second: f64) -> fmt::Result {
    page.counter("dbmazz_events_processed", "Changes that are durable in StarRocks", view.changes_done)?;
    page.gauge("dbmazz_events_per_second", "Changes per second over the last ten seconds", per_second)?;
    page.gauge("dbmazz_replication_lag_ms", LAG, view.lag_ms as f64)?;
    page.counter("dbmazz_batches_sent", "Loads that are durable in StarRocks", view.loads)?;
    page.gauge("dbmazz_pending_events", "Changes received and not yet durable", view.changes_pending as f64)
}

fn positions(page: &mut Page<'_>, view: &View) -> fmt::Result {
    page.position("dbmazz_received_lsn", "Everything up to here was received", view.received.0)?;
    page.position("dbmazz_durable_lsn", "Everything up to here is in StarRocks", view.durable.0)?;
    page.position("dbmazz_confirmed_lsn", "The position confirmed to PostgreSQL", view.confirmed.0)?;
    page.gauge(
        "dbmazz_lag_bytes",
        "Bytes of WAL from the received to the durable position; while nothing is received, from the server's last known position",
        view.lag_bytes as f64,
    )?;
    page.gauge("dbmazz_lag_seconds", LAG, view.lag_ms as f64 / 1e3)?;
    page.gauge("dbmazz_held_bytes", "Bytes held in memory between source and sink", view.held_bytes as f64)?;
    page.counter("dbmazz_reconnects", "Reconnects of the replication connection", view.reconnects)
}

/// Absent while unknown.
fn slot(page: &mut Page<'_>, health: Option<&SlotHealth>) -> fmt::Result {
    let Some(health) = health else { return Ok(()) };
    let mut metric = page.metric(
        "dbmazz_slot_wal_status",
        "1 for the wal_status that PostgreSQL last reported of the slot",
        MetricType::Gauge,
    )?;
    for status in ["reserved", "extended", "unreserved", "lost"] {
        let stands = truth(health.wal_status == status);
        metric.encode_family(&[("status", status)])?.encode_gauge(&stands)?;
    }
    let at_risk = truth(health.is_at_risk());
    page.gauge("dbmazz_slot_at_risk", "1 when PostgreSQL may soon remove WAL that the slot needs", at_risk)?;
    let retained = health.retained_wal_bytes as f64;
    page.gauge("dbmazz_slot_retained_wal_bytes", "WAL that PostgreSQL keeps for the slot", retained)?;
    if let Some(safe) = health.safe_wal_bytes {
        let help = "WAL that can still be written before PostgreSQL may remove what the slot needs";
        page.gauge("dbmazz_slot_safe_wal_bytes", help, safe as f64)?;
    }
    match health.inactive_seconds {
        Some(seconds) => page.gauge(
            "dbmazz_slot_inactive_seconds",
            "Time since a session last used the slot",
            seconds as f64,
        ),
        None => Ok(()),
    }
}

fn loads(page: &mut Page<'_>, view: &View) -> fmt::Result {
    page.tables("dbmazz_table_rows", "Rows loaded", view, |table| table.rows)?;
    page.tables("dbmazz_table_bytes", "Bytes sent in loads that are durable", view, |table| table.bytes)?;
    let mut metric = page.metric("dbmazz_table_loads", "Loads by outcome", MetricType::Counter)?;
    for (name, table) in &view.tables {
        let name = name.to_string();
        for (outcome, loads) in [("durable", table.loads), ("retried", table.failed_loads)] {
            count(&mut metric.encode_family(&[("table", name.as_str()), ("outcome", outcome)])?, loads)?;
        }
    }
    altered_values(page, view)?;
    page.tables(
        "dbmazz_table_dead_letters",
        "Rows refused by StarRocks and stored in dbmazz_dead_letters",
        view,
        |table| table.dead_letters,
    )?;
    whole_tables(page, view)?;
    page.counter("dbmazz_load_retries", "Retried attempts of loads", view.load_retries)?;
    page.histogram(
        "dbmazz_load_duration_seconds",
        "Time from the first attempt of a load until it is durable",
        &view.load_duration,
    )?;
    page.histogram(
        "dbmazz_commit_to_durable_seconds",
        "Time from the oldest commit of a load until it is durable",
        &view.commit_to_durable,
    )
}

fn whole_tables(page: &mut Page<'_>, view: &View) -> fmt::Result {
    let help = "1 when the target is known to have every row of the source, 0 when rows from before the job are missing or not known to be there";
    let mut metric = page.metric("dbmazz_table_whole", help, MetricType::Gauge)?;
    for name in &view.selected {
        let whole = view.tables.get(name).is_some_and(|table| table.whole);
        metric.encode_family(&[("table", name.to_string())])?.encode_gauge(&truth(whole))?;
    }
    Ok(())
}

/// Of each table that is being copied; none where none is.
fn copies(page: &mut Page<'_>, view: &View) -> fmt::Result {
    let copies = &view.copies.copies;
    let blocks =
        "Blocks that the table had when the copy of its existing rows began; absent while it is not copied";
    page.copies("dbmazz_copy_blocks", blocks, copies, |copy| Some(copy.figures.blocks as f64))?;
    let done = "Those of the blocks that are copied";
    page.copies("dbmazz_copy_blocks_done", done, copies, |copy| Some(copy.figures.blocks_done as f64))?;
    let rows = "Existing rows loaded by the copy";
    page.copies("dbmazz_copy_rows", rows, copies, |copy| Some(copy.figures.rows as f64))?;
    let bytes = "Bytes of the loads of the copy";
    page.copies("dbmazz_copy_bytes", bytes, copies, |copy| Some(copy.figures.bytes as f64))?;
    let left =
        "Time until the table is copied, at the speed of the last chunks; absent while nothing is copied";
    page.copies("dbmazz_copy_left_seconds", left, copies, |copy| copy.seconds_left.map(|left| left as f64))?;
    let waits = "1 while the copy waits, for its turn, for other transactions or for StarRocks, 0 while rows are copied";
    page.copies("dbmazz_copy_waits", waits, copies, |copy| Some(truth(!copy.waits.is_empty())))
}

fn altered_values(page: &mut Page<'_>, view: &View) -> fmt::Result {
    let help = "Values that StarRocks cannot represent, stored altered by the job's rules";
    let mut metric = page.metric("dbmazz_table_altered_values", help, MetricType::Counter)?;
    for (name, table) in &view.tables {
        let name = name.to_string();
        for loss in Loss::ALL {
            let labels = [("table", name.as_str()), ("rule", loss.as_str())];
            count(&mut metric.encode_family(&labels)?, table.losses.of(loss))?;
        }
    }
    Ok(())
}

/// Every reason has a line, so that an alert can distinguish "no fault" from "no worker".
fn faults(page: &mut Page<'_>, view: &View) -> fmt::Result {
    page.gauge("dbmazz_ready", "1 when replicating or paused, without a fault", truth(view.is_ready()))?;
    let mut metric =
        page.metric("dbmazz_fault", "1 while there is a fault with this reason", MetricType::Gauge)?;
    for reason in Reason::ALL {
        let stands = view.faults.iter().any(|fault| fault.reason == *reason);
        metric.encode_family(&[("reason", reason.as_str())])?.encode_gauge(&truth(stands))?;
    }
    Ok(())
}

fn process(page: &mut Page<'_>, view: &View, version: &str) -> fmt::Result {
    let memory = process::resident_bytes() as f64;
    page.gauge("process_resident_memory_bytes", "Resident memory", memory)?;
    let mut cpu = page.metric("process_cpu_seconds", "CPU time, user and kernel", MetricType::Counter)?;
    cpu.encode_counter::<NoLabels, _, f64>(&process::cpu_seconds(), None)?;
    page.gauge("dbmazz_uptime_seconds", "Time since the start of the worker", view.uptime_seconds as f64)?;
    page.metric("dbmazz_build", "The worker's build", MetricType::Info)?.encode_info(&[("version", version)])
}

fn truth(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

type NoLabels = [(&'static str, &'static str); 0];

fn count(metric: &mut MetricEncoder<'_>, count: u64) -> fmt::Result {
    metric.encode_counter(&count, None::<&Exemplar<NoLabels, f64>>)
}

struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn metric<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        count(&mut self.metric(name, help, MetricType::Counter)?, value)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.metric(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A WAL position as an integer: a float would round it beyond 2^53.
    fn position(&mut self, name: &str, help: &str, lsn: u64) -> fmt::Result {
        self.metric(name, help, MetricType::Gauge)?.encode_gauge(&lsn)
    }

    fn tables(
        &mut self,
        name: &str,
        help: &str,
        view: &View,
        value: fn(&TableProgress) -> u64,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Counter)?;
        for (name, table) in &view.tables {
            count(&mut metric.encode_family(&[("table", name.to_string())])?, value(table))?;
        }
        Ok(())
    }

    fn copies(
        &mut self,
        name: &str,
        help: &str,
        copies: &[CopyView],
        value: fn(&CopyView) -> Option<f64>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Gauge)?;
        for copy in copies {
            let labels = [("table", copy.table.to_string())];
            value(copy).map_or(Ok(()), |value| metric.encode_family(&labels)?.encode_gauge(&value))?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, durations: &Durations) -> fmt::Result {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(durations.buckets).collect();
        let mut metric = self.metric(name, help, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabels>(durations.sum, durations.count, &buckets, None)
    }
}

#[cfg(test)]
mod tests;
