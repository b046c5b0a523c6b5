//! Turns a `ReplicationJob` into a running worker.
//!
//! ```text
//! watch ─► resolve ─► validate ─► plan ─► apply ─► observe ─► status ─► patch
//!   │         │           └─ pure ──┘       │         │         │         │
//! watch   reads the                      writes     asks the   pure     writes the status
//!         named Secrets                  objects    worker              and the events
//! ```
//!
//! | step | room | the rule it keeps |
//! |---|---|---|
//! | watch | [`watch`] | one poison object never stops the rest |
//! | resolve | [`resolve`] | the named Secrets only, by `get`; what leaves is a fingerprint, never a value |
//! | validate | [`validate`] | pure; a [`job::Job`] cannot be wrong, nobody checks again |
//! | plan | [`plan`] | pure; same job, same bytes; a template in use is kept until the job itself changes |
//! | apply | [`apply`] | sends only what differs, and never touches what is not the job's |
//! | observe | [`observe`] | asks the worker, and steers it to the wished state |
//! | status | [`status`] | pure; never a stale True, a transition time only for a transition |
//! | patch | [`patch`] | writes only what changed; events on transitions only |
//!
//! [`reconcile`] is that line, in one function. A deleted job leaves it for [`deletion`], which asks the
//! worker to stop and drop, or runs a short Job, and never holds a resource for ever.
//!
//! Only [`apply`], [`deletion`], [`patch`] and [`token`] write to the cluster. Only [`observe`] and [`deletion`] speak
//! to workers, both through [`control`]. A failure at any step still reaches the status.

pub mod apply;
pub mod cadence;
pub mod control;
pub mod deletion;
pub mod endpoint;
pub mod job;
pub mod live;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod patch;
pub mod plan;
pub mod pod;
pub mod problem;
pub mod reconcile;
pub mod resolve;
pub mod settings;
pub mod status;
pub mod token;
pub mod validate;
pub mod watch;

#[cfg(test)]
mod layering;
