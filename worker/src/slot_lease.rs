//! The slot lease: whether this worker has the replication slot, and until when that is certain. Without that
//! certainty no load begins.
//!
//! The slot is the lock between two workers of one job. A worker that was suspended, or cut off from the server, does
//! not notice that another worker has the slot, and may hold changes older than those the other has loaded. So the
//! permission to load is a lease: it expires by the clock, unless the server has confirmed since that our session holds
//! the slot lock. A successor waits until no load that began within the lease can commit any more:
//!
//! ```text
//! server asked ──LEASE──► last body begins ──load time-out, and StarRocks' check for timed-out loads──► load aborted
//! ```

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// The lease lasts this long, counted from the moment at which the server was asked.
pub const LEASE: Duration = Duration::from_secs(30);
/// Interval at which the server is asked.
pub const RENEWAL: Duration = Duration::from_secs(5);

/// A moment of the boot-time clock, which never goes back and goes on while the machine is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        Self(Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default()))
    }

    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }

    fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A session of the server that holds the lock of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldSlot {
    pub timeline: u32,
    pub session: Session,
    /// The session held the lock at this moment or later.
    pub since: Moment,
}

/// Identifies one session among all sessions of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub process: u32,
    /// Microseconds since 1970, by the server's clock.
    pub begun: i64,
}

/// What is known about the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotHold {
    /// No stream has begun yet.
    Sought,
    /// A session of ours holds the slot lock, so no other worker has the slot.
    Held(HeldSlot),
    /// The session broke.
    Lost,
}

/// The side of the lease that renews it and ends it.
#[derive(Debug)]
pub struct SlotLease(watch::Sender<Option<Moment>>);

/// The side of the lease that loads check before they begin.
#[derive(Debug, Clone)]
pub struct LoadPermit(watch::Receiver<Option<Moment>>);

impl SlotLease {
    /// A lease that has not been granted yet.
    pub fn new() -> (Self, LoadPermit) {
        let (lease, permit) = watch::channel(None);
        (Self(lease), LoadPermit(permit))
    }

    /// Our session held the slot lock at that moment, and no other worker has loaded for the slot since.
    pub fn renew(&self, at: Moment) {
        self.0.send_if_modified(|confirmed| {
            let is_later = confirmed.is_none_or(|confirmed| confirmed < at);
            *confirmed = if is_later { Some(at) } else { *confirmed };
            is_later
        });
    }

    /// Ends the lease until it is renewed: another worker has loaded for the slot.
    pub fn end(&self) {
        self.0.send_replace(None);
    }

    /// Number of permits that exist, waiting ones included.
    #[cfg(test)]
    pub(crate) fn holders(&self) -> usize {
        self.0.receiver_count()
    }

    pub fn has_ended(&self) -> bool {
        !is_granted(*self.0.borrow(), Moment::now())
    }
}

impl LoadPermit {
    /// Waits until a load may begin; does not return when the lease is dropped.
    pub async fn granted(&self) {
        let mut confirmed = self.0.clone();
        if confirmed.wait_for(|confirmed| is_granted(*confirmed, Moment::now())).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether a load may begin now.
    pub fn is_granted(&self) -> bool {
        is_granted(*self.0.borrow(), Moment::now())
    }
}

fn is_granted(confirmed: Option<Moment>, now: Moment) -> bool {
    confirmed.is_some_and(|confirmed| now.since(confirmed) < LEASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_10_the_right_to_load_ends_by_the_clock() {
        let confirmed = Moment(Duration::from_secs(1000));
        let after = |passed| is_granted(Some(confirmed), Moment(confirmed.0 + passed));
        assert!(after(Duration::ZERO) && after(LEASE - Duration::from_nanos(1)));
        assert!(!after(LEASE) && !after(Duration::from_secs(86_400)));
        assert!(!is_granted(None, confirmed), "no permit before the slot lock was ours");
    }

    #[test]
    fn rule_10_an_old_answer_of_the_server_never_shortens_nor_prolongs_a_lease() {
        let (lease, permit) = SlotLease::new();
        let now = Moment::now();
        lease.renew(now.before(LEASE));
        assert!(!permit.is_granted() && lease.has_ended());
        lease.renew(now);
        lease.renew(now.before(LEASE));
        assert!(permit.is_granted() && !lease.has_ended());
    }

    #[tokio::test]
    async fn rule_10_who_waits_for_the_right_has_it_when_the_lease_is_renewed() {
        let (lease, permit) = SlotLease::new();
        let renewed = async {
            tokio::task::yield_now().await;
            lease.renew(Moment::now());
        };
        tokio::join!(permit.granted(), renewed);
    }

    #[test]
    fn the_clock_of_the_lease_goes_on() {
        let then = Moment::now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(Moment::now() > then);
    }
}
