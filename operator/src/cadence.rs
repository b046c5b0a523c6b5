//! Every duration of the operator, and when a job is looked at again. Pure.

use std::time::Duration;

use crds::status::Stage;
use jiff::SignedDuration;

use crate::status::Facts;

/// The next look at a job that is as it should be.
pub const SETTLED: Duration = Duration::from_secs(7);
/// The next look at a job that is on its way somewhere.
pub const MOVING: Duration = Duration::from_millis(1500);
/// The next look at a job that waits for a person, who may be waiting for it.
pub const FAILED: Duration = Duration::from_secs(3);
/// The next look at a job of which nothing is expected: only to be sure.
pub const RESTING: Duration = Duration::from_secs(300);
/// Every request has a time limit of its own; this ends a reconcile that waits for too many of them, so that the
/// next one can say so. A deletion waits for a drain, and bounds its steps by itself.
pub const LONGEST_RECONCILE: Duration = Duration::from_secs(90);

/// A worker takes the connection within this, or does not answer.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A worker answers a call within this, or does not answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// The next reconcile after one that failed at the API server.
pub const RETRY_AFTER_ERROR: Duration = Duration::from_secs(5);

/// The API server answers one request within this, or the request fails.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A Secret is read again after this while its job is well.
pub const SECRET_FRESH: Duration = Duration::from_secs(15);

/// And after this while it is not: a corrected password may be what it waits for.
pub const SECRET_FRESH_IN_TROUBLE: Duration = Duration::from_secs(3);

/// The control Secret is looked for again after this: somebody may have deleted it.
pub const TOKEN_FRESH: Duration = Duration::from_secs(60);

/// An object that somebody else changes is put back at most this often,
pub const FIRST_RESEND_PAUSE: Duration = Duration::from_secs(2);

/// and, when it is changed again and again, at most this often.
pub const LONGEST_RESEND_PAUSE: Duration = Duration::from_secs(300);

/// After its drain a worker needs up to this long to drop its slot.
pub const DROP_TIME: Duration = Duration::from_secs(20);

/// A deletion that did not come back for its turn within this was resolved another way.
pub const TURN_ABANDONED: Duration = Duration::from_secs(600);

/// A deletion is tried for at least this long, however late the operator came to it.
pub const DELETION_AT_LEAST: Duration = Duration::from_secs(30);

/// And for this long where no worker was ever seen to reach the source.
pub const DELETION_WITHOUT_CAUSE: Duration = Duration::from_secs(20);

/// The API server is asked for its time again after this: clocks drift, and are set.
pub const CLOCK_FRESH: Duration = Duration::from_secs(300);

/// After the grace of a pod its kubelet needs up to this long to report the end.
pub const POD_REMOVAL: SignedDuration = SignedDuration::from_secs(15);

/// Figures of the status are written at most this often while the state stays the same.
pub const FIGURES_AT_MOST_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Nobody has run a worker, deleted everything, and wiped the status within this time.
pub const EVIDENCE_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// A sentence that is told again later than this begins an event of its own.
pub const EVENT_COUNTED_FOR: SignedDuration = SignedDuration::from_mins(6);

/// When a job in this state is looked at again.
pub fn next_look(stage: Stage, facts: &Facts<'_>) -> Duration {
    let ready = facts.report().is_some_and(|report| report.ready);
    match stage {
        Stage::Stopped => RESTING,
        Stage::Failed if facts.job.is_err() && facts.report().is_none() => RESTING,
        Stage::Failed => FAILED,
        _ if ready && facts.apply.is_none() => SETTLED,
        _ => MOVING,
    }
}
