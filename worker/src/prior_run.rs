//! What the workers of this job before this one have left behind: the ground on which a slot is judged.

use crate::lsn::Lsn;

/// One slot of one server that this job has loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriorRun {
    pub system: u64,
    /// None when the note is of a worker that did not write it.
    pub timeline: Option<u32>,
    /// Everything before this is in StarRocks; there may be more.
    pub reached: Lsn,
    pub end: End,
}

/// How the last worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order: nothing beyond what was reached was loaded, or confirmed to PostgreSQL.
    Orderly,
    /// Killed. PostgreSQL was told no more than this.
    Cut { told: Lsn },
    /// Killed, and its notes are on another machine.
    Unknown,
}

impl PriorRun {
    /// PostgreSQL was told no more than this, if anybody knows.
    pub fn told(&self) -> Option<Lsn> {
        match self.end {
            End::Orderly => Some(self.reached),
            End::Cut { told } => Some(told),
            End::Unknown => None,
        }
    }
}
