//! Whether the replication slot is ours: who does not hold it begins no load.
//!
//! The slot is the lock between two workers of one job. The one that lost it may hold changes that the other
//! has overtaken; so soon after the loss it stops sending them, and the other waits until that is certain.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A worker that lost the slot begins no load after this.
pub const GRACE: Duration = Duration::from_secs(20);

/// What is known of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// No stream has begun yet.
    Sought,
    /// A stream is open on this timeline, so no other worker has one.
    Held { timeline: u32 },
    /// The stream broke.
    Lost { since: Instant },
}

/// The right to begin loads, for those who do.
#[derive(Debug, Clone)]
pub struct Right(watch::Receiver<Hold>);

impl Right {
    pub fn new(hold: watch::Receiver<Hold>) -> Self {
        Self(hold)
    }

    /// Waits until a load may begin; for ever when the slot does not come back.
    pub async fn granted(&self) {
        let mut hold = self.0.clone();
        if hold.wait_for(|hold| is_granted(*hold, Instant::now())).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn is_granted(hold: Hold, now: Instant) -> bool {
    match hold {
        Hold::Held { .. } => true,
        Hold::Sought => false,
        Hold::Lost { since } => now.saturating_duration_since(since) < GRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_10_who_lost_the_slot_soon_begins_no_load() {
        let since = Instant::now();
        let granted = |after| is_granted(Hold::Lost { since }, since + after);
        assert!(granted(Duration::from_secs(1)) && !granted(GRACE));
        assert!(!is_granted(Hold::Sought, since) && is_granted(Hold::Held { timeline: 1 }, since));
    }
}
