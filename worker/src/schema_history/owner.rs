//! Who loads into a target: known by the slot, which no two workers have at once.

use serde::{Deserialize, Serialize};

/// The slot of the job that loads into a target, and since when. Of two owners the later one gives way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Nanoseconds since 1970; 0 for a target that an earlier version of the worker took up.
    pub since: u64,
    /// The key of its claim.
    pub slot: String,
}

impl Owner {
    /// Of a target that was loaded into before owners were noted.
    pub fn of_old(slot: &str) -> Self {
        Self { since: 0, slot: slot.to_owned() }
    }
}
