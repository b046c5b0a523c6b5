//! What a pipeline begins with.

use std::sync::Arc;

use tokio::sync::watch;

use super::batch::Deletes;
use crate::{config::BatchConfig, lsn::Lsn, progress::Progress, table::Table};

/// Everything but the sink.
#[derive(Debug)]
pub struct Inputs<'a> {
    pub settings: Settings,
    /// In the order of their ids.
    pub tables: &'a [Table],
    /// Everything before this is durable already.
    pub start: Lsn,
    /// Hears how far everything is durable.
    pub durable: watch::Sender<Lsn>,
    pub progress: Arc<Progress>,
}

/// How the pipeline batches.
#[derive(Debug, Clone)]
pub struct Settings {
    /// It may change at any time.
    pub batch: watch::Receiver<BatchConfig>,
    /// Bytes held at most, all tables together; one row more than this still passes.
    pub buffer: usize,
    pub deletes: Deletes,
    /// A table of the job is not followed, and its changes must stay in the WAL: no position is durable.
    pub holds_wal: bool,
}
