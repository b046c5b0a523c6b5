//! Where the stream begins: judged by what earlier workers have left behind, the server, and its slot.
//!
//! Pure. A slot is made only for a job without a past: a new slot over a gap would hide it for ever. What cannot be
//! proven to be without a gap halts the job, with what a person can do.

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

/// Fails when changes may be missing. `left` is where the server's history left the timeline of the past.
pub(crate) fn check(
    config: &SourceConfig,
    past: &PriorRun,
    now: Origin,
    is_standby: bool,
    left: Option<Lsn>,
    slot: Option<Lsn>,
) -> Result<(), Fault> {
    if past.system != now.system {
        return Err(gap(
            config,
            &format!(
                "this job has replicated the server with system identifier {} up to {}, and now one with {} answers",
                past.system, past.reached, now.system
            ),
        ));
    }
    let Some(confirmed) = slot else {
        return Err(slot_lost(
            config,
            &format!("it does not exist, and this job has replicated from it up to {}", past.reached),
        ));
    };
    check_timeline(config, past, now, left, confirmed)?;
    check_end(config, past, now, is_standby)?;
    match past.told() {
        Some(told) if confirmed > told => Err(gap(
            config,
            &format!(
                "it was moved to {confirmed} by somebody else, and this job has confirmed nothing beyond {told}"
            ),
        )),
        _ => Ok(()),
    }
}

/// A promoted server holds what was replicated when it left the old timeline behind all of it, or when this job has
/// already confirmed something of its new one: a stream goes on through a promotion of its own server.
fn check_timeline(
    config: &SourceConfig,
    past: &PriorRun,
    now: Origin,
    left: Option<Lsn>,
    confirmed: Lsn,
) -> Result<(), Fault> {
    let went_along = past.told().is_some() && left.is_some_and(|left| confirmed > left);
    match (past.timeline, past.end) {
        (Some(timeline), _) if timeline == now.timeline => Ok(()),
        (Some(_), _) if went_along => Ok(()),
        (Some(_), End::Orderly) if left.is_some_and(|left| left >= past.reached) => Ok(()),
        (known, end) => {
            let known = known.map_or("another timeline".to_owned(), |known| format!("timeline {known}"));
            let why = match end {
                End::Orderly => format!("does not have all that was replicated, up to {}", past.reached),
                _ => "nobody knows how far the last worker had come, for it did not end in order".to_owned(),
            };
            Err(gap(
                config,
                &format!(
                    "the server is on timeline {}, this job has replicated {known} of it, and {why}",
                    now.timeline
                ),
            ))
        }
    }
}

/// A server never has less WAL than it had: one that has was set back in time, and writes other changes at the same
/// positions. A standby may be one that has not received as much yet.
fn check_end(config: &SourceConfig, past: &PriorRun, now: Origin, is_standby: bool) -> Result<(), Fault> {
    let reached = past.told().unwrap_or_default().max(past.reached);
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
            // Confirmed beyond the fork, by nobody but this job.
            (old(End::Orderly), Some(9), None),
            (old(End::Cut { told: Lsn(10) }), Some(9), None),
            (old(End::Unknown), Some(9), Some(Reason::ReplicationGap)),
        ] {
            assert_eq!(reason(&past, left, Some(10)), expected, "{past:?} {left:?}");
        }
    }
}
