//! The owner of a target: the job that loads into it, identified by its slot, which no two workers have at once.

use serde::{Deserialize, Serialize};

/// The slot of the job that loads into a target, and since when. Of two owners the later one halts its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Nanoseconds since 1970; 0 for a target that an earlier version of the worker began.
    pub since: u64,
    /// The key of the slot's claim.
    pub slot: String,
}

impl Owner {
    /// The owner of a target that was begun before owners were recorded.
    pub fn of_old(slot: &str) -> Self {
        Self { since: 0, slot: slot.to_owned() }
    }
}
