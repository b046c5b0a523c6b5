//! Time limits for preparing targets at start, so that a slow one does not delay the others.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// Time limit for all targets; most of them need a few milliseconds.
const ALL: Duration = Duration::from_secs(10);
/// Time that each target gets in any case.
const EACH: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Start {
    until: Option<Instant>,
}

impl Start {
    /// No limit with consistency `Transaction`, because no table can be loaded without the others.
    pub(super) fn begin(in_one_step: bool) -> Self {
        Self { until: (!in_one_step).then(|| Instant::now() + ALL) }
    }

    /// The result of preparing a target; none when it exceeds the limit.
    pub(super) async fn within<T>(&mut self, preparing: impl Future<Output = T>) -> Option<T> {
        match self.until {
            Some(until) => timeout_at(until.max(Instant::now() + EACH), preparing).await.ok(),
            None => Some(preparing.await),
        }
    }
}
