//! How long to wait before the next attempt.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::answer::RetryClass;

/// Pauses that double up to a limit, with up to 24 % of jitter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Backoff {
    /// For obstacles that usually pass within seconds.
    pub(crate) const USUAL: Self =
        Self { first: Duration::from_millis(200), longest: Duration::from_secs(10) };
    /// For polling the state of a label.
    pub(crate) const ASKING: Self =
        Self { first: Duration::from_millis(50), longest: Duration::from_secs(2) };
    /// For an overloaded server, to which every attempt adds load.
    const BUSY: Self = Self { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
    /// For obstacles that a person has to remove; short enough that no restart is needed afterwards.
    pub(crate) const PERSON: Self = Self { first: Duration::from_secs(5), longest: Duration::from_secs(10) };

    pub(crate) fn with(retry_class: RetryClass) -> Self {
        match retry_class {
            RetryClass::Unreachable | RetryClass::Strange => Self::USUAL,
            RetryClass::Busy => Self::BUSY,
            RetryClass::Authentication | RetryClass::Permission => Self::PERSON,
        }
    }

    /// The pause after `attempts` attempts. `key` seeds the jitter, so that pauses do not all end at the same moment.
    pub(crate) fn wait(self, attempts: u32, key: &str) -> Duration {
        let doubled = self.first.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        let spread = xxh3_64_with_seed(key.as_bytes(), u64::from(attempts)) % 25;
        doubled.min(self.longest).mul_f64(1.0 - spread as f64 / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_differ_a_little() {
        let waits: Vec<_> =
            [1, 2, 3, 7, 1000].iter().map(|attempts| Backoff::USUAL.wait(*attempts, "a")).collect();
        for (wait, full) in waits.iter().zip([200, 400, 800, 10_000, 10_000]) {
            let full = Duration::from_millis(full);
            assert!(*wait <= full && *wait >= full.mul_f64(0.75), "{wait:?} of {full:?}");
        }
        assert_ne!(Backoff::USUAL.wait(3, "a"), Backoff::USUAL.wait(3, "b"));
    }
}
