//! Reports completed loads to [`Progress`].

use std::time::{Instant, SystemTime};

use tracing::debug;

use super::Loaded;
use crate::{
    progress::{LoadDone, Progress},
    table::TableName,
};

/// The start of a load, and the time of the oldest commit in it.
#[derive(Debug)]
pub(super) struct LoadTimer {
    began: Instant,
    oldest_commit: SystemTime,
}

impl LoadTimer {
    pub(super) fn now(oldest_commit: SystemTime) -> Self {
        Self { began: Instant::now(), oldest_commit }
    }

    /// The load is durable; reports its part for `table`.
    pub(super) fn completed(&self, table: &TableName, changes: u64, loaded: Loaded, progress: &Progress) {
        let elapsed = self.began.elapsed();
        let lag = SystemTime::now().duration_since(self.oldest_commit).unwrap_or_default();
        let Loaded { rows, bytes } = loaded;
        debug!(%table, rows, bytes, ?elapsed, "loaded");
        let (seconds, lag_seconds) = (elapsed.as_secs_f64(), lag.as_secs_f64());
        progress.load_done(table, LoadDone { changes, rows, bytes, seconds, lag_seconds });
    }
}
