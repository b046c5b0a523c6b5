//! Whether every table's target has every row of the source.

use crds::{Reason, spec::SnapshotMode, status::Snapshot};
use proto::StatusResponse;

use super::{super::Facts, ConditionStatus, Verdict};

/// None while it is not known. The figures are those of the status, so that the message moves with them.
pub(crate) fn snapshot_complete(facts: &Facts<'_>, shown: Option<&Snapshot>) -> Option<Verdict> {
    let report = facts.report()?;
    let no = |reason, message: &str| Some(Verdict::new(ConditionStatus::False, reason, message));
    match (report.snapshot_active, report.snapshot_complete) {
        (true, _) => no(Reason::Copying, &copying(report, shown?)),
        (false, true) => {
            let message = "Every table's target has every row of the source.";
            Some(Verdict::new(ConditionStatus::True, Reason::Copied, message))
        }
        (false, false) if report.current_lsn == 0 => None,
        (false, false) if is_never(facts) => no(
            Reason::NotCopied,
            "Rows that existed before the job are not copied, because snapshot.mode is Never.",
        ),
        (false, false) => no(
            Reason::CopyPending,
            "Existing rows of a table are not copied yet, and it is not being copied.",
        ),
    }
}

fn is_never(facts: &Facts<'_>) -> bool {
    facts.job.is_ok_and(|job| job.description.spec.snapshot.mode == SnapshotMode::Never)
}

fn copying(report: &StatusResponse, shown: &Snapshot) -> String {
    let tables = report.copies.len();
    let plural = if tables == 1 { "" } else { "s" };
    let what = format!(
        "Existing rows are being copied while changes flow: {} % are copied, {} rows, and {tables} table{plural} left.",
        shown.percent, shown.rows
    );
    waits(report, shown).map_or_else(|| what.clone(), |waits| format!("{what} {waits}"))
}

/// What keeps the percentage from moving, where every copy waits.
fn waits(report: &StatusResponse, shown: &Snapshot) -> Option<String> {
    let stands = i64::try_from(report.snapshot_chunks_done).is_ok_and(|done| done == shown.chunks_done);
    let waits = stands && report.copies.iter().all(|copy| !copy.waits.is_empty());
    let first =
        report.copies.iter().find(|copy| copy.rows > 0 || copy.waits != "its turn").filter(|_| waits)?;
    Some(format!("Table {} waits for {}.", first.table, first.waits))
}
