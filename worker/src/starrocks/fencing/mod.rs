//! Two workers of one job never harm each other: who may load for a slot, since when, and what is in flight.
//!
//! ```text
//! claim (a row at StarRocks) ─► predecessor: its journal, or a wait ─► the grant to load
//! ```

pub(crate) mod claim;
pub(crate) mod grant;
pub(crate) mod holder;
pub(crate) mod journal;
pub(crate) mod predecessor;
pub(crate) mod takeover;
