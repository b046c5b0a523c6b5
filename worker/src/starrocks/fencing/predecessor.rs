//! Ends the loads that a predecessor left in flight: by its journal, or by waiting until they have timed out.

use std::time::Duration;

use crds::Reason;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::super::{
    http::frontend::Frontend,
    load::{answer::Retryable, label::Label, label_state::LoadState, request::LOAD_TIMEOUT},
};
use crate::{
    backoff::Backoff,
    config::SinkConfig,
    fault::{Fault, Part},
    progress::Progress,
    slot_lease::LEASE,
    starrocks::{
        bookkeeping::claim::{self, Claim, SlotIdentity, Standing},
        load::journal::Journal,
    },
};

/// Interval at which StarRocks looks for loads that have timed out.
const ABORTER: Duration = Duration::from_secs(30);
/// For clocks that differ, and for the time that StarRocks takes to abort a load.
const SLACK: Duration = Duration::from_secs(10);
/// After this time no load of a lost worker can commit any more. Its lease was renewed last before we got the slot; its
/// last body began within that lease, and StarRocks had begun the load, and its time-out, before that body. The time
/// before a body (the frontend's hop, two connections) does not count: the lease is checked after it.
const WAIT: Duration =
    Duration::from_secs(LEASE.as_secs() + LOAD_TIMEOUT.as_secs() + ABORTER.as_secs() + SLACK.as_secs());
const _: () = assert!(WAIT.as_secs() <= 4 * 60, "the remedy says that loading begins within four minutes");

/// Whether the claim's worker may have loads in flight that our journal does not contain.
pub(super) fn may_be_loading(claim: &Claim, journal: &str) -> bool {
    claim.standing == Standing::Loading && claim.journal != journal
}

/// Ends every load in the journal.
pub(super) async fn settle(sink: &SinkConfig, journal: &Journal) -> Result<(), Fault> {
    let frontend = Frontend::new(sink);
    for label in journal.labels() {
        let ended = end_load(&frontend, &label).await;
        ended.map_err(|retryable| Fault { part: Part::Sink, ..retryable.fault(&claim::table()) })?;
        journal.ended(&label);
        info!(%label, "load of the previous worker ended");
    }
    Ok(())
}

async fn end_load(frontend: &Frontend, label: &Label) -> Result<(), Retryable> {
    if label.is_of_step() {
        return frontend.end(label).await.map(drop);
    }
    for attempt in 1.. {
        if frontend.state(label).await? != LoadState::Running {
            break;
        }
        frontend.cancel(label).await?;
        sleep(Backoff::ASKING.wait(attempt, label.as_str())).await;
    }
    Ok(())
}

/// The wait for a predecessor whose journal is not here. It is done once while this worker has the slot: the
/// predecessor cannot begin a load before this worker has lost it.
#[derive(Debug, Default)]
pub(super) struct Wait {
    until: Option<Instant>,
}

impl Wait {
    /// Returns when no load of the predecessor can commit any more.
    pub(super) async fn out(&mut self, slot: &SlotIdentity, progress: &Progress) {
        let until = *self.until.get_or_insert_with(|| Instant::now() + WAIT);
        warn!(slot = %slot.slot, wait = ?WAIT, "waiting until no load of the previous worker can commit");
        progress.raise(Fault::retry(
            Part::Sink,
            Reason::PredecessorLoading,
            "the previous worker did not shut down cleanly and its journal is not in this state directory; its last loads \
             may still commit",
            "wait: loading begins within four minutes; a state directory that outlives the worker \
             (DBMAZZ_STATE_DIR) spares the wait",
        ));
        sleep_until(until).await;
        progress.clear(&Part::Sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsn::Lsn;

    #[tokio::test]
    async fn rule_10_a_predecessor_is_waited_out_once_and_until_none_of_its_loads_can_commit() {
        const { assert!(WAIT.as_secs() > LEASE.as_secs() + LOAD_TIMEOUT.as_secs() + ABORTER.as_secs()) };
        let slot = SlotIdentity { system_identifier: 1, slot: "s".to_owned() };
        let progress = Progress::new(&[]);
        let until = Instant::now() + Duration::from_millis(50);
        let mut wait = Wait { until: Some(until) };
        wait.out(&slot, &progress).await;
        assert!(Instant::now() >= until);
        wait.out(&slot, &progress).await;
        assert_eq!(wait.until, Some(until));
    }

    #[test]
    fn rule_10_only_a_claim_without_an_end_and_without_our_journal_is_waited_out() {
        for (journal, standing, expected) in [
            ("theirs", Standing::Loading, true),
            ("theirs", Standing::Ended, false),
            ("theirs", Standing::Quiet, false),
            ("ours", Standing::Loading, false),
        ] {
            let (journal, moment) = (journal.to_owned(), String::new());
            let claim = Claim { journal, standing, timeline: None, durable: Lsn(0), moment };
            assert_eq!(may_be_loading(&claim, "ours"), expected, "{claim:?}");
        }
    }
}
