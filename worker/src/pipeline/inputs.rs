//! The inputs of a pipeline, except the sink.

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
