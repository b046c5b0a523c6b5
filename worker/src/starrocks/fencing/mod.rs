//! Fencing: at most one worker of a job loads for a slot, and it loads only when no load of a predecessor can still commit.
//!
//! ```text
//! claim (a row in StarRocks) ─► predecessor: its journal, or a wait ─► load grant
//! ```

pub(crate) mod claim;
pub(crate) mod grant;
pub(crate) mod holder;
pub(crate) mod journal;
pub(crate) mod predecessor;
pub(crate) mod takeover;
