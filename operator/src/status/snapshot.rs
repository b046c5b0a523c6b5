//! How far the copy of existing rows is, and when a new figure is worth a write. Pure.
//!
//! A figure is written when the whole percentage has moved, and at the begin and the end: about a hundred writes for a
//! copy of any size. The percentage never falls during a copy, also when the worker restarts.

use crds::status::Snapshot;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proto::{Fault, StatusResponse, fault::Part};

use super::whole_seconds;
use crate::problem::sentences;

/// Shown until the target of every table is known to have every row.
const NOT_ALL: u64 = 99;

/// The copy to show: as seen now if that is worth a write, else as shown already.
pub(super) fn snapshot(
    shown: Option<&Snapshot>,
    report: Option<&StatusResponse>,
    refused: Option<&str>,
    now: Timestamp,
) -> Option<Snapshot> {
    let Some(report) = report.filter(|report| is_known(report)) else { return shown.cloned() };
    let before = shown.cloned().unwrap_or_default();
    let seen = seen(&before, report, refused, now);
    let same = Snapshot {
        rows: before.rows,
        chunks_done: before.chunks_done,
        chunks_total: before.chunks_total,
        ..seen.clone()
    };
    if shown.is_some() && same == before { Some(before) } else { Some(seen) }
}

/// Before the worker has reached both ends it does not know which rows are there.
fn is_known(report: &StatusResponse) -> bool {
    report.snapshot_active || report.snapshot_complete || report.current_lsn > 0
}

fn seen(before: &Snapshot, report: &StatusResponse, refused: Option<&str>, now: Timestamp) -> Snapshot {
    let now = || Some(Time(whole_seconds(now)));
    let request = if report.snapshot_request.is_empty() { &before.request } else { &report.snapshot_request };
    let is_another = before.completed_at.is_some() || *request != before.request;
    let begins = report.snapshot_active && (before.started_at.is_none() || is_another);
    let started_at = if begins { now() } else { before.started_at.clone() };
    let completed_at = match (report.snapshot_active, report.snapshot_complete) {
        (true, _) => None,
        // Copies that were not seen have no end either: the tables were empty, or the status was wiped.
        (false, true) if started_at.is_some() => before.completed_at.clone().or_else(now),
        // About to begin, or halted.
        (false, _) => before.completed_at.clone(),
    };
    let at_least = if begins { 0 } else { before.percent };
    let counts = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let seen = Snapshot {
        request: request.clone(),
        started_at,
        completed_at,
        percent: percent(report).max(at_least),
        rows: counts(report.snapshot_rows_synced),
        chunks_done: counts(report.snapshot_chunks_done),
        chunks_total: counts(report.snapshot_chunks_total),
        error: error(report, refused),
    };
    // A worker that was restarted since knows no figures of what is complete.
    match report.snapshot_chunks_total {
        0 => Snapshot {
            rows: before.rows,
            chunks_done: before.chunks_done,
            chunks_total: before.chunks_total,
            ..seen
        },
        _ => seen,
    }
}

fn percent(report: &StatusResponse) -> i32 {
    let done = report.snapshot_chunks_done.saturating_mul(100).checked_div(report.snapshot_chunks_total);
    match report.snapshot_complete && !report.snapshot_active {
        true => 100,
        false => done.unwrap_or_default().min(NOT_ALL) as i32,
    }
}

/// The fault of the first table whose copy is not complete; a refused request before it.
fn error(report: &StatusResponse, refused: Option<&str>) -> String {
    let is_copied = |fault: &&Fault| {
        fault.part() == Part::Table && report.copies.iter().any(|copy| copy.table == fault.table)
    };
    let told = |fault: &Fault| sentences(&[&format!("table {}: {}", fault.table, fault.message), &fault.fix]);
    let of_table = || report.faults.iter().find(is_copied).map(told);
    refused.map(str::to_owned).or_else(of_table).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proto::TableCopy;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn copying(done: u64, total: u64) -> StatusResponse {
        StatusResponse {
            current_lsn: 9,
            snapshot_active: true,
            snapshot_chunks_done: done,
            snapshot_chunks_total: total,
            snapshot_rows_synced: done * 100,
            ..StatusResponse::default()
        }
    }

    fn complete() -> StatusResponse {
        StatusResponse { snapshot_active: false, snapshot_complete: true, ..copying(1000, 1000) }
    }

    fn after(shown: &Option<Snapshot>, report: &StatusResponse, second: i64) -> Option<Snapshot> {
        snapshot(shown.as_ref(), Some(report), None, at(second))
    }

    #[test]
    fn a_figure_is_written_when_the_percentage_moves() {
        let begun = after(&None, &copying(0, 1000), 0);
        assert_eq!(begun.as_ref().map(|s| (s.percent, s.started_at.clone())), Some((0, Some(Time(at(0))))));
        assert_eq!(after(&begun, &copying(9, 1000), 60), begun);
        let moved = after(&begun, &copying(10, 1000), 60).unwrap();
        assert_eq!((moved.percent, moved.rows, moved.started_at), (1, 1000, Some(Time(at(0)))));
    }

    #[test]
    fn a_copy_is_at_a_hundred_when_every_row_is_there() {
        let begun = after(&None, &copying(1000, 1000), 0);
        assert_eq!(begun.as_ref().map(|s| s.percent), Some(99));
        let ended = after(&begun, &complete(), 7);
        assert_eq!(
            ended.as_ref().map(|s| (s.percent, s.completed_at.clone())),
            Some((100, Some(Time(at(7)))))
        );
        assert_eq!(after(&ended, &complete(), 99), ended);
        let restarted = StatusResponse { snapshot_chunks_total: 0, snapshot_rows_synced: 0, ..complete() };
        assert_eq!(after(&ended, &restarted, 99), ended, "a restarted worker");
        let connecting = StatusResponse::default();
        assert_eq!(after(&ended, &connecting, 99), ended, "a worker that connects");
        assert_eq!(snapshot(ended.as_ref(), None, None, at(99)), ended, "no worker");
    }

    #[test]
    fn a_percentage_falls_for_another_copy_only() {
        let half = after(&None, &copying(500, 1000), 0);
        assert_eq!(after(&half, &copying(0, 500), 7).map(|s| s.percent), Some(50), "a restarted worker");
        let ended = after(&half, &complete(), 7);
        let asked = StatusResponse { snapshot_request: "again".into(), ..copying(1, 10) };
        let again = after(&ended, &asked, 20).unwrap();
        assert_eq!((again.percent, again.request.as_str()), (10, "again"));
        assert_eq!((again.started_at, again.completed_at), (Some(Time(at(20))), None));
    }

    #[test]
    fn tables_that_were_empty_are_complete_without_a_copy() {
        let report = StatusResponse { current_lsn: 9, snapshot_complete: true, ..StatusResponse::default() };
        let seen = after(&None, &report, 0).unwrap();
        assert_eq!(seen, Snapshot { percent: 100, ..Snapshot::default() });
    }

    #[test]
    fn what_keeps_a_copy_from_going_on_is_told() {
        let fault = Fault {
            part: Part::Table.into(),
            table: "public.t".into(),
            message: "may not be read".into(),
            fix: "grant it".into(),
            ..Fault::default()
        };
        let copy = TableCopy { table: "public.t".into(), ..TableCopy::default() };
        let report = StatusResponse { faults: vec![fault], copies: vec![copy], ..copying(1, 10) };
        let told =
            |report: &StatusResponse, refused| snapshot(None, Some(report), refused, at(0)).unwrap().error;
        assert_eq!(told(&report, None), "Table public.t: may not be read. Grant it.");
        assert_eq!(told(&report, Some("No.")), "No.");
        let other = StatusResponse { copies: Vec::new(), ..report };
        assert_eq!(told(&other, None), "");
    }
}
