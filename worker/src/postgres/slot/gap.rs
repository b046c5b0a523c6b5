//! Checks the position at which the stream begins, from the job's prior runs, the server, and its slot.
//!
//! Pure. A slot is created only for a job without prior runs: a new slot after a gap would hide the gap for ever. The
//! job halts with a remedy unless it is proven that there is no gap.

use crate::{
    config::SourceConfig,
    fault::Fault,
    lsn::Lsn,
    postgres::{
        error::{behind, gap, set_back, slot_lost},
        server::Origin,
    },
    prior_run::{End, PriorRun},
};

/// Fails when changes may be missing. `timeline_end` is the position at which the server's history left the timeline of
/// the prior run.
pub(crate) fn check(
    config: &SourceConfig,
    prior_run: &PriorRun,
    now: Origin,
    is_standby: bool,
    timeline_end: Option<Lsn>,
    slot: Option<Lsn>,
) -> Result<(), Fault> {
    if prior_run.system != now.system {
        return Err(gap(
            config,
            &format!(
                "this job has replicated the server with system identifier {} up to {}, and now a server with system \
                 identifier {} answers",
                prior_run.system, prior_run.reached, now.system
            ),
        ));
    }
    let Some(confirmed) = slot else {
        return Err(slot_lost(
            config,
            &format!("it does not exist, and this job has replicated from it up to {}", prior_run.reached),
        ));
    };
    check_timeline(config, prior_run, now, timeline_end, confirmed)?;
    check_end(config, prior_run, now, is_standby)?;
    match prior_run.told() {
        Some(told) if confirmed > told => Err(gap(
            config,
            &format!(
                "it was moved to {confirmed} by another client, and this job has confirmed nothing beyond {told}"
            ),
        )),
        _ => Ok(()),
    }
}

/// A promoted server has all that was replicated if it left the old timeline at or after that position, or if this job
/// has already confirmed a position on the new timeline: a stream continues through a promotion of its own server.
fn check_timeline(
    config: &SourceConfig,
    prior_run: &PriorRun,
    now: Origin,
    timeline_end: Option<Lsn>,
    confirmed: Lsn,
) -> Result<(), Fault> {
    let was_followed = prior_run.told().is_some() && timeline_end.is_some_and(|end| confirmed > end);
    match (prior_run.timeline, prior_run.end) {
        (Some(timeline), _) if timeline == now.timeline => Ok(()),
        (Some(_), _) if was_followed => Ok(()),
        (Some(_), End::Orderly) if timeline_end.is_some_and(|end| end >= prior_run.reached) => Ok(()),
        (known, end) => {
            let known =
                known.map_or("an unrecorded timeline".to_owned(), |known| format!("timeline {known}"));
            let why = match end {
                End::Orderly => {
                    format!("the server does not have all that was replicated, up to {}", prior_run.reached)
                }
                _ => "the last worker did not shut down cleanly, so the replicated position is unknown"
                    .to_owned(),
            };
            Err(gap(
                config,
                &format!(
                    "the server is on timeline {} (promoted or restored), this job has replicated {known}, and {why}",
                    now.timeline
                ),
            ))
        }
    }
}

/// The WAL of a primary never gets shorter: if it did, the server was set back in time, and writes other changes at the
/// same positions. A standby may not have received as much yet.
fn check_end(
    config: &SourceConfig,
    prior_run: &PriorRun,
    now: Origin,
    is_standby: bool,
) -> Result<(), Fault> {
    let reached = prior_run.told().unwrap_or_default().max(prior_run.reached);
    match now.flushed >= reached {
        true => Ok(()),
        false if is_standby => Err(behind(config, now.flushed, reached)),
        false => Err(gap(config, &set_back(now.flushed, reached))),
    }
}

#[cfg(test)]
mod tests {
    use crds::Reason;

    use super::*;
    use crate::{fault::Course, postgres::error::tests::config};

    const NOW: Origin = Origin { system: 1, timeline: 2, flushed: Lsn(1000) };

    fn past(end: End) -> PriorRun {
        PriorRun { system: 1, timeline: Some(2), reached: Lsn(50), end }
    }

    fn reason(past: &PriorRun, left: Option<u64>, slot: Option<u64>) -> Option<Reason> {
        check(&config(), past, NOW, false, left.map(Lsn), slot.map(Lsn)).err().map(|fault| fault.reason)
    }

    #[test]
    fn a_server_that_has_less_than_was_replicated_from_it_was_set_back_and_a_standby_may_only_be_late() {
        let check = |end, flushed, is_standby| {
            let now = Origin { flushed: Lsn(flushed), ..NOW };
            let fault = check(&config(), &past(end), now, is_standby, None, Some(Lsn(40))).err()?;
            Some((fault.reason, fault.course))
        };
        let (gap, late) = ((Reason::ReplicationGap, Course::Halt), (Reason::ReplicationGap, Course::Retry));
        for (end, flushed, standby, expected) in [
            (End::Orderly, 50, false, None),
            (End::Orderly, 49, false, Some(gap)),
            (End::Orderly, 49, true, Some(late)),
            (End::Unknown, 49, false, Some(gap)),
            (End::Cut { told: Lsn(60) }, 60, false, None),
            (End::Cut { told: Lsn(60) }, 59, false, Some(gap)),
        ] {
            assert_eq!(check(end, flushed, standby), expected, "{end:?} {flushed} {standby}");
        }
    }

    #[test]
    fn a_slot_that_is_missing_is_lost_however_the_last_worker_ended() {
        for end in [End::Orderly, End::Cut { told: Lsn(60) }, End::Unknown] {
            assert_eq!(reason(&past(end), None, None), Some(Reason::SlotLost), "{end:?}");
        }
    }

    #[test]
    fn a_slot_beyond_what_was_confirmed_is_a_gap() {
        for (end, slot, expected) in [
            (End::Orderly, 50, None),
            (End::Orderly, 51, Some(Reason::ReplicationGap)),
            (End::Cut { told: Lsn(60) }, 60, None),
            (End::Cut { told: Lsn(60) }, 61, Some(Reason::ReplicationGap)),
            (End::Unknown, 999, None),
        ] {
            assert_eq!(reason(&past(end), None, Some(slot)), expected, "{end:?} {slot}");
        }
    }

    #[test]
    fn another_server_is_a_gap_even_with_a_slot_of_that_name() {
        let other = PriorRun { system: 9, ..past(End::Orderly) };
        assert_eq!(reason(&other, None, Some(1)), Some(Reason::ReplicationGap));
    }

    #[test]
    fn a_promoted_server_continues_only_when_it_has_everything_for_certain() {
        let old = |end| PriorRun { timeline: Some(1), ..past(end) };
        for (past, left, expected) in [
            (old(End::Orderly), Some(50), None),
            (old(End::Orderly), Some(49), Some(Reason::ReplicationGap)),
            (old(End::Orderly), None, Some(Reason::ReplicationGap)),
            (old(End::Cut { told: Lsn(50) }), Some(999), Some(Reason::ReplicationGap)),
            (old(End::Unknown), Some(999), Some(Reason::ReplicationGap)),
            (PriorRun { timeline: None, ..past(End::Orderly) }, Some(999), Some(Reason::ReplicationGap)),
            // Confirmed beyond the fork, by this job.
            (old(End::Orderly), Some(9), None),
            (old(End::Cut { told: Lsn(10) }), Some(9), None),
            (old(End::Unknown), Some(9), Some(Reason::ReplicationGap)),
        ] {
            assert_eq!(reason(&past, left, Some(10)), expected, "{past:?} {left:?}");
        }
    }
}
