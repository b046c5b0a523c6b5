//! What the copies of a session share: both ends, the lanes, and the settings.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::filling::Copies;
use crate::{
    config::SnapshotConfig,
    fault::{Course, Fault, Part},
    pipeline::{AskBarrier, Routed},
    progress::{Owner, Progress},
    table::TableName,
};

/// What the copies of a session need.
#[derive(Debug)]
pub struct Engine<L, S> {
    pub source: S,
    pub config: SnapshotConfig,
    pub load: Arc<L>,
    pub ask: mpsc::Sender<AskBarrier>,
    pub routed: Arc<Routed>,
    pub copies: Arc<Copies>,
    pub progress: Arc<Progress>,
    /// Notified when a new session is needed.
    pub renew: Arc<Notify>,
    /// Bytes of a batch.
    pub batch: usize,
}

/// The same, until the copies are stopped.
pub(super) struct Shared<L, S> {
    pub(super) engine: Arc<Engine<L, S>>,
    pub(super) stop: CancellationToken,
}

impl<L, S> Shared<L, S> {
    /// Changes of the table go on meanwhile, and the copy is tried again.
    pub(super) fn report(&self, table: &TableName, fault: Fault) {
        let fault = Fault { part: Part::Table(table.clone()), course: Course::Retry, ..fault };
        if self.engine.progress.raise_of(Owner::Copy, fault.clone()) {
            warn!(%table, reason = %fault.reason, fix = %fault.fix, "copy of existing rows: {}", fault.message);
        }
        self.engine.progress.copy_waits(table, fault.message);
    }
}
