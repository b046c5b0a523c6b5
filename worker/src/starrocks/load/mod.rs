//! One Stream Load through all of its attempts, until its rows are durable or known to be impossible to load.
//!
//! ```text
//! sequence ─► label ─► body ─► request (frontend, backend) ─► answer ─► label_state ─► durable
//!                      └──────────────── attempts, with backoff ───────────────┘
//! ```

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod journal;
pub(crate) mod label;
pub(crate) mod label_state;
pub(crate) mod loader;
pub(crate) mod request;
pub(crate) mod sequence;
