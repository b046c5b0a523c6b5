//! What can be asked of a job, and its answer.

use tokio::sync::oneshot;

use crate::{config::BatchChange, table::TableName};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Stop reading; keep the connection and the slot.
    Pause,
    /// Read on after a pause.
    Resume,
    /// Stop reading, load what is held, confirm it. The slot stays.
    DrainAndStop,
    /// Load in other sizes from now on, and other tables, if any are named.
    Reload { batch: BatchChange, tables: Option<Vec<TableName>> },
    /// Drain and stop; then drop the slot and the publication, unless they are kept. The past of the slot is
    /// released only for a job that is deleted: who drops the slot of a job that lives loses changes.
    Stop { keep_slot: bool, keep_publication: bool, release_past: bool },
}

/// A command, and where its answer goes.
#[derive(Debug)]
pub struct Request {
    pub command: Command,
    pub answer: oneshot::Sender<Answer>,
}

/// A refused command is an answer too, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub success: bool,
    pub message: String,
}
