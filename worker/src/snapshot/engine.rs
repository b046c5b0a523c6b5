//! What the copies of a session share: both ends, the lanes, and the settings.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::filling::Copies;
use crate::{
    config::{SnapshotConfig, SourceConfig},
    pipeline::{AskBarrier, Routed},
    progress::Progress,
};

/// What the copies of a session need.
#[derive(Debug)]
pub struct Engine<L> {
    pub source: SourceConfig,
    pub config: SnapshotConfig,
    pub load: Arc<L>,
    pub ask: mpsc::Sender<AskBarrier>,
    pub routed: Arc<Routed>,
    pub copies: Arc<Copies>,
    pub progress: Arc<Progress>,
    /// Bytes of a batch.
    pub batch: usize,
}

/// The same, until the copies are stopped.
pub(super) struct Shared<L> {
    pub(super) engine: Arc<Engine<L>>,
    pub(super) stop: CancellationToken,
}
