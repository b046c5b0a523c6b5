//! The limits of batches, which may change while the job runs.

use tokio::sync::watch;

use crate::config::BatchConfig;

/// The requested limits, capped by the buffer.
#[derive(Debug)]
pub(super) struct Limits {
    asked: watch::Receiver<BatchConfig>,
    buffer: usize,
}

impl Limits {
    pub(super) fn new(asked: watch::Receiver<BatchConfig>, buffer: usize) -> Self {
        Self { asked, buffer }
    }

    /// The limits in force. A batch may take half of the buffer: one gathers while another is loaded.
    pub(super) fn now(&mut self) -> BatchConfig {
        let batch = *self.asked.borrow_and_update();
        BatchConfig { max_bytes: batch.max_bytes.min(self.buffer / 2), ..batch }
    }

    /// Resolves when the limits have changed; never resolves once the sender is dropped.
    pub(super) async fn changed(&mut self) {
        if self.asked.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
