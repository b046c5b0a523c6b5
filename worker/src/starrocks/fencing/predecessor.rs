//! Brings what a predecessor left in the air to its end: by its notes, or by waiting.

use std::time::Duration;

use crds::Reason;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::{
    super::{
        http::frontend::Frontend,
        load::{
            answer::Retryable, backoff::Backoff, label::Label, label_state::LoadState, request::LOAD_TIMEOUT,
        },
    },
    claim::{self, Claim, SlotIdentity, Standing},
    journal::Journal,
};
use crate::{
    config::SinkConfig,
    fault::{Fault, Part},
    progress::Progress,
    slot_lease::LEASE,
};

/// StarRocks looks for loads that ran out of time so often.
const ABORTER: Duration = Duration::from_secs(30);
/// For clocks that do not go alike, and for what StarRocks takes from the look to the end.
const SLACK: Duration = Duration::from_secs(10);
/// After this no load of a lost worker can commit any more. It was asked about before we won the slot; within its lease
/// it began its last body, and before that body StarRocks had begun the load, whose time-out runs from there. What
/// comes before a body (the frontend's hop, two connections) counts for nothing: the lease is looked at behind it.
const WAIT: Duration =
    Duration::from_secs(LEASE.as_secs() + LOAD_TIMEOUT.as_secs() + ABORTER.as_secs() + SLACK.as_secs());
const _: () = assert!(WAIT.as_secs() <= 4 * 60, "people are told that loading begins within four minutes");

/// What its notes at hand do not tell of.
pub(super) fn may_be_loading(claim: &Claim, journal: &str) -> bool {
    claim.standing == Standing::Loading && claim.journal != journal
}

/// Brings every noted load to its end.
pub(super) async fn settle(sink: &SinkConfig, journal: &Journal) -> Result<(), Fault> {
    let frontend = Frontend::new(sink);
    for label in journal.labels() {
        let ended = bring_to_an_end(&frontend, &label).await;
        ended.map_err(|retryable| Fault { part: Part::Sink, ..retryable.fault(&claim::table()) })?;
        journal.ended(&label);
        info!(%label, "a load of the predecessor has ended");
    }
    Ok(())
}

async fn bring_to_an_end(frontend: &Frontend, label: &Label) -> Result<(), Retryable> {
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

/// For a predecessor whose notes are not at hand. Once is enough while the slot stays ours: it does not come back
/// before we have lost it.
#[derive(Debug, Default)]
pub(super) struct Wait {
    until: Option<Instant>,
}

impl Wait {
    /// Resolves when none of its loads can commit any more.
    pub(super) async fn out(&mut self, slot: &SlotIdentity, progress: &Progress) {
        let until = *self.until.get_or_insert_with(|| Instant::now() + WAIT);
        warn!(slot = %slot.slot, wait = ?WAIT, "waiting for the last loads of a predecessor that did not end in order");
        progress.raise(Fault::retry(
            Part::Sink,
            Reason::PredecessorLoading,
            "the worker before this one did not end in order, and its notes are not here: its last loads may still commit",
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
    fn rule_10_only_a_claim_without_an_end_and_without_our_notes_is_waited_out() {
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
