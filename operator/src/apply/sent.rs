//! Remembers sent objects and the API server's answers, so that another writer cannot keep the operator writing.
//!
//! An admission policy changes an object while it is written: the answer shows it, and sending it again has the same
//! result. Another controller changes it afterwards: it is applied again, with growing pauses.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    cadence::{FIRST_RESEND_PAUSE, LONGEST_RESEND_PAUSE},
    live::Kind,
};

/// By the uid of the job.
#[derive(Debug, Default)]
pub struct Sent(Mutex<HashMap<(String, Kind), Echo>>);

#[derive(Debug)]
struct Echo {
    plan: String,
    /// The differences between the plan and the answer.
    altered: Vec<String>,
    /// How often the same plan was sent.
    times: u32,
    at: Instant,
}

/// What to do with an object that differs from its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Send,
    /// Another writer changed it: while it was written, or again after it was applied.
    Leave,
    /// It was sent a moment ago, and the watch may not show that write yet.
    Wait,
}

impl Sent {
    pub(super) fn next(
        &self,
        uid: &str,
        kind: Kind,
        plan: &str,
        differences: &[String],
        now: Instant,
    ) -> Next {
        let echoes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match echoes.get(&(uid.to_owned(), kind)) {
            Some(echo) if echo.plan == plan => echo.next(differences, now),
            _ => Next::Send,
        }
    }

    /// Records that the plan was sent, and how the answer differs from it.
    pub(super) fn sent(&self, uid: &str, kind: Kind, plan: &str, altered: Vec<String>, now: Instant) {
        let mut echoes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = echoes.get(&(uid.to_owned(), kind)).filter(|echo| echo.plan == plan);
        let times = before.filter(|echo| echo.is_recent(now)).map_or(0, |echo| echo.times) + 1;
        echoes.insert((uid.to_owned(), kind), Echo { plan: plan.to_owned(), altered, times, at: now });
    }

    /// Forgets a job that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != uid);
    }
}

impl Echo {
    fn next(&self, differences: &[String], now: Instant) -> Next {
        let is_as_answered = !self.altered.is_empty() && self.altered == differences;
        let is_resting = now.saturating_duration_since(self.at) < self.pause();
        match (is_as_answered, is_resting) {
            (true, _) => Next::Leave,
            (false, false) => Next::Send,
            (false, true) if self.times > 1 => Next::Leave,
            (false, true) => Next::Wait,
        }
    }

    fn pause(&self) -> Duration {
        let doubled = FIRST_RESEND_PAUSE.saturating_mul(1 << self.times.saturating_sub(1).min(16));
        doubled.min(LONGEST_RESEND_PAUSE)
    }

    /// A conflict that ended long ago does not lengthen the pauses of the next one.
    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < 2 * LONGEST_RESEND_PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_policy_makes_of_a_plan_is_left_as_it_is() {
        let (sent, now) = (Sent::default(), Instant::now());
        let mirrored = vec![".image is mirror".to_owned()];
        let next = |plan, differences: &[String], after| {
            sent.next("u", Kind::Deployment, plan, differences, now + Duration::from_secs(after))
        };
        assert_eq!(next("p", &mirrored, 0), Next::Send);
        sent.sent("u", Kind::Deployment, "p", mirrored.clone(), now);
        assert_eq!(next("p", &mirrored, 9_000), Next::Leave);
        assert_eq!(next("q", &mirrored, 9_000), Next::Send, "another plan");
        assert_eq!(next("p", &[".replicas is 0".to_owned()], 9_000), Next::Send, "another difference");
        sent.forget("u");
        assert_eq!(next("p", &mirrored, 0), Next::Send);
    }

    #[test]
    fn a_watch_that_does_not_show_what_was_sent_yet_blames_nobody() {
        let (sent, now) = (Sent::default(), Instant::now());
        sent.sent("u", Kind::Deployment, "p", Vec::new(), now);
        let old = [".spec.replicas is 0".to_owned()];
        assert_eq!(sent.next("u", Kind::Deployment, "p", &old, now), Next::Wait);
        assert_eq!(sent.next("u", Kind::Deployment, "p", &old, now + FIRST_RESEND_PAUSE), Next::Send);
    }

    #[test]
    fn what_another_controller_changes_again_and_again_is_put_back_more_and_more_seldom() {
        let (sent, mut now) = (Sent::default(), Instant::now());
        let scaled = [".replicas is 3".to_owned()];
        let mut writes = 0;
        for _ in 0..3600 {
            if sent.next("u", Kind::Deployment, "p", &scaled, now) == Next::Send {
                sent.sent("u", Kind::Deployment, "p", Vec::new(), now);
                writes += 1;
            }
            now += Duration::from_secs(1);
        }
        assert!((8..25).contains(&writes), "{writes} in an hour");
    }
}
