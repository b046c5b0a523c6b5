//! The health of source and sink, as the worker reports it.

use crds::Reason;
use proto::{StatusResponse, fault::Part};

use super::{super::Facts, ConditionStatus, Verdict, problem};
use crate::problem::sentences;

/// The first fault of that part; healthy without one once the worker has reached the part.
pub(super) fn part_healthy(facts: &Facts<'_>, part: Part) -> Verdict {
    let Some(report) = facts.report() else {
        return Verdict::new(
            ConditionStatus::Unknown,
            Reason::NotObserved,
            "There is no report of a worker.",
        );
    };
    let (position, name) = match part {
        Part::Source => (report.current_lsn, "PostgreSQL"),
        _ => (report.durable_lsn, "StarRocks"),
    };
    match report.faults.iter().find(|fault| fault.part() == part) {
        Some(fault) => Verdict::no(&problem(fault)),
        None if part == Part::Source && is_at_risk(report) => at_risk(report),
        None if report.ready || position > 0 || has_judged(report) => Verdict::new(
            ConditionStatus::True,
            Reason::Healthy,
            &format!("The worker reports no fault of {name}."),
        ),
        None => Verdict::new(
            ConditionStatus::Unknown,
            Reason::NotObserved,
            &format!("The worker has not reached {name} yet."),
        ),
    }
}

/// A table's fault is found only after both ends were reached.
fn has_judged(report: &StatusResponse) -> bool {
    report.faults.iter().any(|fault| fault.part() == Part::Table)
}

fn is_at_risk(report: &StatusResponse) -> bool {
    report.slot.as_ref().is_some_and(|slot| slot.at_risk)
}

/// Replication continues, and the slot may soon be lost.
fn at_risk(report: &StatusResponse) -> Verdict {
    let what = format!("PostgreSQL may soon remove WAL that replication slot {} needs", report.slot_name);
    let fix = "See what keeps the worker from catching up, or raise max_slot_wal_keep_size and reload PostgreSQL: \
               once the WAL is gone the tables have to be copied anew";
    Verdict::new(ConditionStatus::False, Reason::SlotAtRisk, &sentences(&[&what, fix]))
}
