//! The requests to a job, and their answers.

use tokio::sync::oneshot;

use crate::{config::BatchChange, table::TableName};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Stop reading; keep the connection and the slot.
    Pause,
    /// Resume reading after a pause.
    Resume,
    /// Stop reading, load the held changes, confirm them. The slot stays.
    DrainAndStop,
    /// Change the batch sizes, and the tables if any are named.
    Reload { batch: BatchChange, tables: Option<Vec<TableName>> },
    /// Copy these tables anew, or every table; one that has the name of a request that was handled already does nothing.
    Snapshot { tables: Vec<TableName>, request: String },
    /// Drain and stop; then drop the slot and the publication, unless they are kept. The job's claim is released
    /// only when the job is deleted: a job that continues without its slot has lost changes.
    Stop { keep_slot: bool, keep_publication: bool, release_past: bool },
}

/// A command, and the sender of its answer.
#[derive(Debug)]
pub struct Request {
    pub command: Command,
    pub answer: oneshot::Sender<Answer>,
}

/// The answer to a command; a refusal is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub success: bool,
    pub message: String,
}
