//! The inputs of a pipeline, except the sink, and the limits of batches, which may change while the job runs.

use std::sync::Arc;

use tokio::sync::watch;

use super::batch::Deletes;
use crate::{config::BatchConfig, lsn::Lsn, progress::Progress, table::Table};

/// Everything that a pipeline needs, except the sink.
#[derive(Debug)]
pub struct Inputs<'a> {
    pub settings: Settings,
    /// In the order of their ids.
    pub tables: &'a [Table],
    /// Everything before this is durable already.
    pub start: Lsn,
    /// Receives the durable position.
    pub durable: watch::Sender<Lsn>,
    pub progress: Arc<Progress>,
}

/// Sizes and rules of batching.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Limits of a batch; may change at any time.
    pub batch: watch::Receiver<BatchConfig>,
    /// Bytes held at most, all tables together; one row more than this still passes.
    pub buffer: usize,
    pub deletes: Deletes,
    /// A published table of the job is not replicated, and its changes must stay in the WAL: the durable position does
    /// not advance.
    pub holds_wal: bool,
}

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
