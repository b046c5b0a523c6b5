//! Every duration of the operator, and when a job is reconciled again. Pure.

use std::time::Duration;

use crds::status::Stage;
use jiff::SignedDuration;

use crate::status::Facts;

/// The next reconcile of a job that is as specified.
pub const SETTLED: Duration = Duration::from_secs(7);
/// The next reconcile of a job whose state is changing.
pub const MOVING: Duration = Duration::from_millis(1500);
/// The next reconcile of a job that copies existing rows: its percentage is written at most this often.
pub const COPYING: Duration = Duration::from_secs(3);
/// The next reconcile of a job that waits for a person, who may have just corrected the cause.
pub const FAILED: Duration = Duration::from_secs(3);
/// The next reconcile of a job of which no change is expected.
pub const RESTING: Duration = Duration::from_secs(300);
/// The time limit of one reconcile. Every request has its own limit; this one ends a reconcile that waits for many of
/// them, so that the next can report it. It does not cover deletions, which wait for a drain and have a deadline.
pub const LONGEST_RECONCILE: Duration = Duration::from_secs(90);

/// A worker that does not accept a connection within this counts as not answering.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A worker that does not answer a call within this counts as not answering.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// The next reconcile after one that failed at the API server.
pub const RETRY_AFTER_ERROR: Duration = Duration::from_secs(5);

/// The API server answers one request within this, or the request fails.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A Secret is read again after this while its job is well.
pub const SECRET_FRESH: Duration = Duration::from_secs(15);

/// A Secret is read again after this while its job is not well: the job may be waiting for a corrected password.
pub const SECRET_FRESH_IN_TROUBLE: Duration = Duration::from_secs(3);

/// The control Secret is read again after this, because it may have been deleted.
pub const TOKEN_FRESH: Duration = Duration::from_secs(60);

/// The first pause before an object that another client changed is applied again.
pub const FIRST_RESEND_PAUSE: Duration = Duration::from_secs(2);

/// The longest such pause: the pauses grow while the object is changed repeatedly.
pub const LONGEST_RESEND_PAUSE: Duration = Duration::from_secs(300);

/// A worker needs up to this long to drop its slot after the drain.
pub const DROP_TIME: Duration = Duration::from_secs(20);

/// A deletion that has not used its turn for this long has ended in another way, and its turn is free again.
pub const TURN_ABANDONED: Duration = Duration::from_secs(600);

/// A deletion is tried for at least this long, however long after the request the operator began.
pub const DELETION_AT_LEAST: Duration = Duration::from_secs(30);

/// A deletion is tried for this long where no worker was ever seen to reach the source.
pub const DELETION_WITHOUT_CAUSE: Duration = Duration::from_secs(20);

/// The API server's time is read again after this: clocks drift, and are set.
pub const CLOCK_FRESH: Duration = Duration::from_secs(300);

/// After a pod's grace period its kubelet needs up to this long to report the end.
pub const POD_REMOVAL: SignedDuration = SignedDuration::from_secs(15);

/// The figures in the status are written at most this often while the state stays the same.
pub const FIGURES_AT_MOST_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// A resource younger than this cannot have had a worker whose objects and status were removed again.
pub const EVIDENCE_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// A message that is repeated later than this begins a new event.
pub const EVENT_COUNTED_FOR: SignedDuration = SignedDuration::from_mins(6);

/// The delay until the next reconcile of a job in this state.
pub fn next_look(stage: Stage, facts: &Facts<'_>) -> Duration {
    let ready = facts.report().is_some_and(|report| report.ready);
    match stage {
        Stage::Stopped | Stage::Completed if facts.observation.pods.is_empty() => RESTING,
        Stage::Completed => MOVING,
        Stage::Stopped => RESTING,
        Stage::Failed if facts.job.is_err() && facts.report().is_none() => RESTING,
        Stage::Failed => FAILED,
        Stage::Snapshotting if ready => COPYING,
        _ if ready && facts.apply.is_none() => SETTLED,
        _ => MOVING,
    }
}
