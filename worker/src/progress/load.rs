//! Counts and durations of completed loads.

use std::time::{Duration, Instant};

/// A stream that is far behind may have nothing pending between two loads: for this time the lag of the last load counts.
const RECENT: Duration = Duration::from_secs(3);

/// One completed load.
#[derive(Debug, Clone, Copy)]
pub struct LoadDone {
    /// Changes that the load settles, including those superseded within the batch.
    pub changes: u64,
    pub rows: u64,
    /// Bytes of the body.
    pub bytes: u64,
    pub seconds: f64,
    /// Seconds from the oldest commit in it to its durability.
    pub lag_seconds: f64,
}

/// Durations in seconds, counted into fixed buckets.
#[derive(Debug, Clone)]
pub struct Durations {
    pub buckets: [u64; BOUNDS.len() + 1],
    pub sum: f64,
    pub count: u64,
}

/// Upper bounds of the buckets of [`Durations`], seconds.
pub const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

impl Default for Durations {
    fn default() -> Self {
        Self { buckets: [0; BOUNDS.len() + 1], sum: 0.0, count: 0 }
    }
}

impl Durations {
    fn observe(&mut self, seconds: f64) {
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket] += 1;
        self.sum += seconds;
        self.count += 1;
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Loads {
    pub(super) count: u64,
    pub(super) duration: Durations,
    pub(super) lag: Durations,
    /// When the last one ended, and how old its oldest commit was.
    latest: Option<(Instant, f64)>,
}

impl Loads {
    pub(super) fn add(&mut self, done: &LoadDone, now: Instant) {
        self.count += 1;
        self.duration.observe(done.seconds);
        self.lag.observe(done.lag_seconds);
        self.latest = Some((now, done.lag_seconds));
    }

    /// Milliseconds from commit to durable of the last load, if that completed within [`RECENT`].
    pub(super) fn recent_lag_ms(&self, now: Instant) -> u64 {
        let is_recent = |(at, _): &(Instant, f64)| now.saturating_duration_since(*at) < RECENT;
        self.latest.filter(is_recent).map_or(0, |(_, seconds)| (seconds * 1e3) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_far_behind_shows_it_between_two_loads_and_not_for_ever() {
        let (mut loads, now) = (Loads::default(), Instant::now());
        assert_eq!(loads.recent_lag_ms(now), 0);
        let done = LoadDone { changes: 1, rows: 1, bytes: 1, seconds: 0.1, lag_seconds: 200.0 };
        loads.add(&done, now);
        loads.add(&LoadDone { lag_seconds: 180.0, ..done }, now);
        assert_eq!(loads.recent_lag_ms(now + Duration::from_secs(1)), 180_000);
        assert_eq!(loads.recent_lag_ms(now + RECENT), 0);
    }
}
