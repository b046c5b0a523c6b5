//! Whether the replication slot is ours, and until when that is certain: who is not certain begins no load.
//!
//! The slot is the lock between two workers of one job. A worker that was stopped, or cut off, does not notice that
//! another has the slot, and may hold changes that the other has overtaken. So the right to load is a lease: it ends
//! by the clock, unless the server has said since that our session holds the lock of the slot. A successor waits until
//! no load that was begun within the lease can commit any more:
//!
//! ```text
//! the server is asked ──LEASE──► the last body begins ──the load's time-out, and StarRocks' look for it──► it is gone
//! ```

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// From the moment at which the server was asked, no load begins later than this.
pub const LEASE: Duration = Duration::from_secs(30);
/// The server is asked so often.
pub const RENEWAL: Duration = Duration::from_secs(5);

/// A moment of the clock that never goes back, and goes on while the machine is suspended.
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
    /// It held the lock then, or later.
    pub since: Moment,
}

/// What tells one session of a server from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub process: u32,
    /// Microseconds since 1970, by the server's clock.
    pub begun: i64,
}

/// What is known of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotHold {
    /// No stream has begun yet.
    Sought,
    /// A session of ours holds the lock of the slot, so no other worker has it.
    Held(HeldSlot),
    /// The session broke.
    Lost,
}

/// Grants the right to begin loads, for a while.
#[derive(Debug)]
pub struct SlotLease(watch::Sender<Option<Moment>>);

/// The right to begin loads, for those who do.
#[derive(Debug, Clone)]
pub struct LoadPermit(watch::Receiver<Option<Moment>>);

impl SlotLease {
    /// Nothing is granted yet.
    pub fn new() -> (Self, LoadPermit) {
        let (lease, right) = watch::channel(None);
        (Self(lease), LoadPermit(right))
    }

    /// The slot was ours at that moment, and nobody has loaded for it since.
    pub fn renew(&self, at: Moment) {
        self.0.send_if_modified(|heard| {
            let is_news = heard.is_none_or(|heard| heard < at);
            *heard = if is_news { Some(at) } else { *heard };
            is_news
        });
    }

    /// Nothing is granted any more, until it is renewed: another has loaded for the slot.
    pub fn end(&self) {
        self.0.send_replace(None);
    }

    /// How many have the right, or wait for it.
    #[cfg(test)]
    pub(crate) fn holders(&self) -> usize {
        self.0.receiver_count()
    }

    pub fn has_ended(&self) -> bool {
        !is_granted(*self.0.borrow(), Moment::now())
    }
}

impl LoadPermit {
    /// Waits until a load may begin; for ever when the slot does not come back.
    pub async fn granted(&self) {
        let mut heard = self.0.clone();
        if heard.wait_for(|heard| is_granted(*heard, Moment::now())).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether a load may begin now.
    pub fn is_granted(&self) -> bool {
        is_granted(*self.0.borrow(), Moment::now())
    }
}

fn is_granted(heard: Option<Moment>, now: Moment) -> bool {
    heard.is_some_and(|heard| now.since(heard) < LEASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_10_the_right_to_load_ends_by_the_clock() {
        let heard = Moment(Duration::from_secs(1000));
        let after = |passed| is_granted(Some(heard), Moment(heard.0 + passed));
        assert!(after(Duration::ZERO) && after(LEASE - Duration::from_nanos(1)));
        assert!(!after(LEASE) && !after(Duration::from_secs(86_400)));
        assert!(!is_granted(None, heard), "nobody has the right before the slot was ours");
    }

    #[test]
    fn rule_10_an_old_answer_of_the_server_never_shortens_nor_prolongs_a_lease() {
        let (lease, right) = SlotLease::new();
        let now = Moment::now();
        lease.renew(now.before(LEASE));
        assert!(!right.is_granted() && lease.has_ended());
        lease.renew(now);
        lease.renew(now.before(LEASE));
        assert!(right.is_granted() && !lease.has_ended());
    }

    #[tokio::test]
    async fn rule_10_who_waits_for_the_right_has_it_when_the_lease_is_renewed() {
        let (lease, right) = SlotLease::new();
        let renewed = async {
            tokio::task::yield_now().await;
            lease.renew(Moment::now());
        };
        tokio::join!(right.granted(), renewed);
    }

    #[test]
    fn the_clock_of_the_lease_goes_on() {
        let then = Moment::now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(Moment::now() > then);
    }
}
