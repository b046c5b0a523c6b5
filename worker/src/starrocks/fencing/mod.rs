//! Fencing: at most one worker of a job loads for a slot, and it loads only when no load of a predecessor can still commit.
//!
//! ```text
//! claim (a row in StarRocks) ─► predecessor: its journal, or a wait ─► load grant
//! ```

pub(crate) mod grant;
pub(crate) mod holder;
pub(crate) mod predecessor;
mod prior_run;
pub(crate) mod takeover;
