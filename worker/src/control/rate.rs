//! A rate from a counter: sampled every second, averaged over the last ten.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Instant,
};

const NOTES: usize = 11;

#[derive(Debug, Default)]
pub(super) struct Rate {
    notes: Mutex<VecDeque<(Instant, u64)>>,
}

impl Rate {
    pub(super) fn note(&self, now: Instant, total: u64) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() == NOTES {
            notes.pop_front();
        }
        notes.push_back((now, total));
    }

    pub(super) fn per_second(&self) -> f64 {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(first), Some(last)) = (notes.front(), notes.back()) else { return 0.0 };
        between(*first, *last)
    }
}

/// The rate between two samples; 0 when no time has passed.
pub(super) fn between((then, before): (Instant, u64), (now, after): (Instant, u64)) -> f64 {
    let seconds = now.saturating_duration_since(then).as_secs_f64();
    if seconds > 0.0 { after.saturating_sub(before) as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rate_forgets_what_is_more_than_ten_seconds_old() {
        let (rate, start) = (Rate::default(), Instant::now());
        for second in 0..=10 {
            rate.note(start + Duration::from_secs(second), second * 100);
        }
        assert_eq!(rate.per_second(), 100.0);
        for second in 11..=20 {
            rate.note(start + Duration::from_secs(second), 1000);
        }
        assert_eq!(rate.per_second(), 0.0);
    }

    #[test]
    fn there_is_no_rate_without_two_notes() {
        let rate = Rate::default();
        assert_eq!(rate.per_second(), 0.0);
        rate.note(Instant::now(), 7);
        assert_eq!(rate.per_second(), 0.0);
    }
}
