//! The time that a deletion has left. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::cadence::{DELETION_AT_LEAST, DELETION_WITHOUT_CAUSE};

/// The inputs of a deletion's deadline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// By the API server's clock.
    pub(super) deleted_at: Timestamp,
    /// `deletion.timeout`.
    pub(super) timeout: Duration,
    /// How long this operator has been trying.
    pub(super) trying: Duration,
    /// No worker was ever seen to reach the source.
    pub(super) reached_nothing: bool,
}

impl Deadline {
    /// The time left at `now`, which is by the API server's clock too.
    pub(super) fn left(&self, now: Timestamp) -> Duration {
        let timeout =
            if self.reached_nothing { self.timeout.min(DELETION_WITHOUT_CAUSE) } else { self.timeout };
        // Negative for clocks that differ by less than a second; counts as zero.
        let gone = Duration::try_from(now.duration_since(self.deleted_at)).unwrap_or_default();
        let tried = timeout.min(DELETION_AT_LEAST).saturating_sub(self.trying);
        timeout.saturating_sub(gone).max(tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(gone: i64, trying: u64, timeout: u64, reached_nothing: bool) -> u64 {
        let deleted_at = Timestamp::from_second(1_800_000_000).unwrap();
        let seconds = Duration::from_secs;
        let deadline =
            Deadline { deleted_at, timeout: seconds(timeout), trying: seconds(trying), reached_nothing };
        deadline.left(Timestamp::from_second(1_800_000_000 + gone).unwrap()).as_secs()
    }

    #[test]
    fn time_is_counted_from_the_deletion_whoever_counts() {
        assert_eq!(left(0, 0, 300, false), 300);
        assert_eq!(left(200, 200, 300, false), 100);
        assert_eq!(left(300, 300, 300, false), 0);
        assert_eq!(left(200, 5, 300, false), 100, "another operator goes on counting");
        assert_eq!(left(-1, 0, 300, false), 300, "a clock a moment behind");
    }

    #[test]
    fn an_operator_that_was_away_tries_before_it_gives_up() {
        assert_eq!(left(9_999, 0, 300, false), 30);
        assert_eq!(left(9_999, 29, 300, false), 1);
        assert_eq!(left(9_999, 30, 300, false), 0);
        assert_eq!(left(9_999, 0, 10, false), 10, "never longer than allowed");
    }

    #[test]
    fn where_nothing_was_ever_reached_little_time_is_lost() {
        assert_eq!(left(5, 5, 300, true), 15);
        assert_eq!(left(20, 20, 300, true), 0);
    }
}
