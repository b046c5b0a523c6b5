//! The sizes of loads, which may change while the job runs.

use tokio::sync::watch;

use crate::config::BatchConfig;

/// What is in force, and what comes after it.
#[derive(Debug)]
pub(super) struct Limits {
    asked: watch::Receiver<BatchConfig>,
    buffer: usize,
}

impl Limits {
    pub(super) fn new(asked: watch::Receiver<BatchConfig>, buffer: usize) -> Self {
        Self { asked, buffer }
    }

    /// One batch gathers while another is loaded.
    pub(super) fn now(&mut self) -> BatchConfig {
        let batch = *self.asked.borrow_and_update();
        BatchConfig { max_bytes: batch.max_bytes.min(self.buffer / 2), ..batch }
    }

    /// Resolves when there is something new; never when nobody can change anything any more.
    pub(super) async fn changed(&mut self) {
        if self.asked.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
