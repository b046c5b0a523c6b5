//! Pauses before the next connection: 100 ms, doubling to 5 s, each with a random part. A server that fails at the same
//! position every time decodes everything before it again, so there the pause grows to 30 s.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
const LONGEST_WHILE_FAILING: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Between half of the step and all of it, so that many workers do not reconnect at the same moment.
    pub(super) fn next(&mut self, is_failing: bool) -> Duration {
        let longest = if is_failing { LONGEST_WHILE_FAILING } else { LONGEST };
        let step = self.next.min(longest);
        self.next = (step * 2).min(longest);
        let random = RandomState::new().hash_one(0u8) % 1000;
        step / 2 + step / 2 * random as u32 / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_a_limit_and_starts_again() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..10).map(|_| backoff.next(false)).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits[9] >= LONGEST / 2 && waits[9] <= LONGEST);
        let failing: Vec<_> = (0..10).map(|_| backoff.next(true)).collect();
        assert!(failing[9] >= LONGEST_WHILE_FAILING / 2 && failing[9] <= LONGEST_WHILE_FAILING);
        assert!(backoff.next(false) <= LONGEST);
        backoff.reset();
        assert!(backoff.next(false) <= FIRST);
    }
}
