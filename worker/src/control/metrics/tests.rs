//! `docs/metrics.md`, the worker's part: the metrics of a worker with one table and a slot.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Known, text};
use crate::{
    control::JobInfo,
    progress::{Progress, SlotHealth},
    table::TableName,
};

#[test]
fn docs_list_every_metric() {
    let table = TableName { schema: "public".into(), name: "orders".into() };
    let progress = Arc::new(Progress::new(std::slice::from_ref(&table)));
    progress.load_retried(&table);
    progress.copies_begin(std::slice::from_ref(&table));
    progress.slot_seen(Some(SlotHealth {
        safe_wal_bytes: Some(0),
        inactive_seconds: Some(0),
        ..SlotHealth::default()
    }));
    let info = JobInfo { slot: "orders".into(), version: "0" };
    let known = Known::new(progress, info, mpsc::channel(1).0);
    let metrics = testbed::docs::metrics(&text(&known).unwrap());
    testbed::docs::is_current("metrics.md", "worker", &metrics).unwrap();
}
