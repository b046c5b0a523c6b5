//! How long to wait before the next attempt: pauses that double up to a limit, each a little different.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Pauses that double up to a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    /// Jitter: a pause is up to so many per cent shorter.
    pub(crate) spread: u8,
}

impl Backoff {
    /// For obstacles that usually pass within seconds.
    pub(crate) const USUAL: Self = Self::new(Duration::from_millis(200), Duration::from_secs(10));
    /// For polling the state of a label.
    pub(crate) const ASKING: Self = Self::new(Duration::from_millis(50), Duration::from_secs(2));
    /// For an overloaded server, to which every attempt adds load.
    pub(crate) const BUSY: Self = Self::new(Duration::from_secs(1), Duration::from_secs(30));
    /// For obstacles that a person has to remove; short enough that no restart is needed afterwards.
    pub(crate) const PERSON: Self = Self::new(Duration::from_secs(5), Duration::from_secs(10));
    /// Between two connections of the stream; spread widely, so that many workers do not reconnect at the same moment.
    pub(crate) const RECONNECT: Self =
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(5), spread: 50 };
    /// The same, for a server that fails at one position every time: it decodes everything before it again.
    pub(crate) const RECONNECT_WHILE_FAILING: Self =
        Self { longest: Duration::from_secs(30), ..Self::RECONNECT };
    /// Between two sessions of the job.
    pub(crate) const SESSION: Self =
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(5), spread: 0 };

    const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, spread: 24 }
    }

    /// The pause after `attempts` attempts. `key` seeds the jitter, so that pauses do not all end at the same moment.
    pub(crate) fn wait(self, attempts: u32, key: &str) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        let shorter = xxh3_64_with_seed(key.as_bytes(), u64::from(attempts)) % (u64::from(self.spread) + 1);
        doubled.min(self.longest).mul_f64(1.0 - shorter as f64 / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_differ_a_little() {
        let waits = |backoff: Backoff| [1, 2, 3, 7, 1000].map(|attempts| backoff.wait(attempts, "a"));
        for (backoff, full) in [
            (Backoff::USUAL, [200, 400, 800, 10_000, 10_000]),
            (Backoff::RECONNECT, [100, 200, 400, 5000, 5000]),
            (Backoff::RECONNECT_WHILE_FAILING, [100, 200, 400, 6400, 30_000]),
            (Backoff::SESSION, [500, 1000, 2000, 5000, 5000]),
        ] {
            for (wait, full) in waits(backoff).into_iter().zip(full.map(Duration::from_millis)) {
                let least = full.mul_f64(1.0 - f64::from(backoff.spread) / 100.0);
                assert!(wait <= full && wait >= least, "{wait:?} of {full:?}");
            }
        }
        assert_ne!(Backoff::USUAL.wait(3, "a"), Backoff::USUAL.wait(3, "b"));
    }
}
