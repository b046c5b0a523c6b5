//! Limits how many deletions run at a time, and records since when each of them does.
//!
//! Five hundred jobs that are deleted together must not become five hundred pods or as many requests at once. The wait
//! for a turn does not count against a deletion's own minimum time.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::cadence::TURN_ABANDONED;

/// Concurrent deletions that drain a worker or have a pod.
const AT_A_TIME: usize = 20;

/// By the uid of a job.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<String, Turn>>);

#[derive(Debug, Clone, Copy)]
struct Turn {
    began: Instant,
    last_seen: Instant,
}

impl Turns {
    /// How long this job has had its turn; `None` while all turns are taken.
    pub(super) fn take(&self, uid: &str, now: Instant) -> Option<Duration> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| now.duration_since(turn.last_seen) < TURN_ABANDONED);
        if !turns.contains_key(uid) && turns.len() >= AT_A_TIME {
            return None;
        }
        let turn = turns.entry(uid.to_owned()).or_insert(Turn { began: now, last_seen: now });
        turn.last_seen = now;
        Some(now.duration_since(turn.began))
    }

    /// Frees the turn of a job that is gone.
    pub fn give_back(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_have_their_turn_and_the_next_follows_when_one_is_gone() {
        let (turns, now) = (Turns::default(), Instant::now());
        for job in 0..AT_A_TIME {
            assert_eq!(turns.take(&job.to_string(), now), Some(Duration::ZERO));
        }
        assert_eq!(turns.take("next", now), None);
        assert_eq!(turns.take("0", now + Duration::from_secs(3)), Some(Duration::from_secs(3)));
        turns.give_back("1");
        assert_eq!(turns.take("next", now), Some(Duration::ZERO));
    }

    #[test]
    fn a_turn_that_was_abandoned_is_free_again() {
        let (turns, now) = (Turns::default(), Instant::now());
        for job in 0..AT_A_TIME {
            turns.take(&job.to_string(), now);
        }
        assert_eq!(turns.take("next", now + TURN_ABANDONED), Some(Duration::ZERO));
    }
}
