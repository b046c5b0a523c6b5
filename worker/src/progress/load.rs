//! What loads have done: how much, and how long it took.

/// One load that ended well.
#[derive(Debug, Clone, Copy)]
pub struct LoadDone {
    /// Changes that the load settles, those superseded within the batch included.
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
}

impl Loads {
    pub(super) fn add(&mut self, done: &LoadDone) {
        self.count += 1;
        self.duration.observe(done.seconds);
        self.lag.observe(done.lag_seconds);
    }
}
