//! What earlier workers of this job have recorded: the facts by which the slot's position is checked.

use crate::lsn::Lsn;

/// One slot of one server that this job has loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriorRun {
    pub system: u64,
    /// None when the worker that wrote the claim was of a version that did not record it.
    pub timeline: Option<u32>,
    /// Everything before this position is in StarRocks; there may be more.
    pub reached: Lsn,
    pub end: End,
}

/// How the last worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Shut down in order: nothing beyond `reached` was loaded or confirmed to PostgreSQL.
    Orderly,
    /// Killed. No position beyond `told` was confirmed to PostgreSQL.
    Cut { told: Lsn },
    /// Killed, and its journal is on another machine.
    Unknown,
    /// The slot was lost, and every table is to be copied anew: any slot of this server is good.
    Lost,
    /// The job copied its tables once and has ended.
    Completed,
}

impl PriorRun {
    /// The last position that can have been confirmed to PostgreSQL, where that is known.
    pub fn told(&self) -> Option<Lsn> {
        match self.end {
            End::Orderly | End::Lost | End::Completed => Some(self.reached),
            End::Cut { told } => Some(told),
            End::Unknown => None,
        }
    }
}
