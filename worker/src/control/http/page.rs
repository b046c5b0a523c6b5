//! The readable paths, and their content.

use axum::{http::StatusCode, response::Response};
use serde_json::{Value, json};

use super::answer;
use crate::{
    control::{known::Known, metrics, process, words},
    fault::{Course, Fault},
    progress::{CopiesView, CopyFigures, CopyView, View},
};

pub(super) fn healthz(known: &Known) -> Response {
    let view = known.view();
    let (stage, uptime) = (words::stage(view.stage), view.uptime_seconds);
    answer::json(StatusCode::OK, json!({ "status": "ok", "stage": stage, "uptime_secs": uptime }))
}

pub(super) fn livez(known: &Known) -> Response {
    let view = known.view();
    let (alive, quiet) = (words::is_alive(&view), view.quiet_seconds);
    let status = if alive { "ok" } else { "stuck" };
    answer::json(failing_unless(alive), json!({ "status": status, "quiet_secs": quiet }))
}

pub(super) fn readyz(known: &Known) -> Response {
    let view = known.view();
    if view.is_ready() {
        return answer::json(StatusCode::OK, json!({ "ready": true }));
    }
    let fault = words::worst_fault(&view);
    let body = json!({
        "ready": false,
        "reason": words::reason(&view),
        "message": fault.map_or(words::stage_detail(&view), |fault| &fault.message),
        "fix": fault.map_or("wait", |fault| &fault.fix),
        "faults": view.faults.iter().map(written).collect::<Vec<_>>(),
    });
    answer::json(StatusCode::SERVICE_UNAVAILABLE, body)
}

pub(super) fn status(known: &Known) -> Response {
    let view = known.view();
    let body = json!({
        "engine_running": true,
        "state": view.state.to_string(),
        "stage": words::stage(view.stage),
        "stage_detail": words::stage_detail(&view),
        "uptime_secs": view.uptime_seconds,
        "events_processed": view.changes_done,
        "events_per_second": known.changes_per_second(),
        "replication_lag_ms": view.lag_ms,
        "batches_sent": view.loads,
        "pending_events": view.changes_pending,
        "current_lsn": format!("0x{:X}", view.received.0),
        "confirmed_lsn": format!("0x{:X}", view.confirmed.0),
        "estimated_memory_bytes": process::resident_bytes(),
        "durable_lsn": format!("0x{:X}", view.durable.0),
        "lag_bytes": view.lag_bytes,
        "ready": view.is_ready(),
        "faults": view.faults.iter().map(written).collect::<Vec<_>>(),
        "snapshot": snapshot(&view),
        "version": known.info.version,
    });
    answer::json(StatusCode::OK, body)
}

fn snapshot(view: &View) -> Value {
    let CopiesView { sum, copies } = &view.copies;
    json!({
        "active": !copies.is_empty(),
        "complete": view.is_whole(),
        "chunks_total": sum.blocks,
        "chunks_done": sum.blocks_done,
        "rows_synced": sum.rows,
        "bytes_synced": sum.bytes,
        "tables": copies.iter().map(copy).collect::<Vec<_>>(),
    })
}

fn copy(copy: &CopyView) -> Value {
    let CopyFigures { blocks, blocks_done, rows, bytes } = copy.figures;
    json!({
        "table": copy.table.to_string(),
        "percent": copy.figures.percent(),
        "blocks": blocks,
        "blocks_done": blocks_done,
        "rows": rows,
        "bytes": bytes,
        "rows_per_second": copy.rows_per_second,
        "seconds_left": copy.seconds_left,
        "waits": copy.waits,
    })
}

pub(super) fn prometheus(known: &Known) -> Response {
    match metrics::text(known) {
        Ok(text) => answer::text(StatusCode::OK, metrics::MEDIA_TYPE, text),
        Err(_) => answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written"),
    }
}

fn failing_unless(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn written(fault: &Fault) -> Value {
    let (part, table) = words::part(&fault.part);
    json!({
        "part": part,
        "table": table,
        "reason": fault.reason.as_str(),
        "message": fault.message,
        "fix": fault.fix,
        "halted": fault.course == Course::Halt,
    })
}
