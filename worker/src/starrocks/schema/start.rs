//! A target that takes long to become ready does not hold up the start of the others.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// For the targets of all tables together; most of them need a few milliseconds.
const ALL: Duration = Duration::from_secs(10);
/// For each of them in any case.
const EACH: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Start {
    until: Option<Instant>,
}

impl Start {
    /// Where all tables are loaded in one step, none can begin without the others.
    pub(super) fn begin(in_one_step: bool) -> Self {
        Self { until: (!in_one_step).then(|| Instant::now() + ALL) }
    }

    /// What comes of preparing a target; nothing when it takes too long.
    pub(super) async fn within<T>(&mut self, preparing: impl Future<Output = T>) -> Option<T> {
        match self.until {
            Some(until) => timeout_at(until.max(Instant::now() + EACH), preparing).await.ok(),
            None => Some(preparing.await),
        }
    }
}
