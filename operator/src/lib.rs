//! Turns a `ReplicationJob` into a running worker.
//!
//! ```text
//! watch ─► resolve ─► validate ─► plan ─► apply ─► observe ─► status ─► patch
//!   │         │           └─ pure ──┘       │         │         │         │
//! watch   reads the                      writes     asks the   pure     writes the status
//!         named Secrets                  objects    worker              and the events
//! ```
//!
//! | step | module | the rule it keeps |
//! |---|---|---|
//! | watch | [`watch`] | an unreadable resource does not stop the others |
//! | resolve | [`resolve`] | the named Secrets only, by `get`; gives out a fingerprint, never a value |
//! | validate | [`validate`] | pure; a [`job::Job`] is valid, no later step checks again |
//! | plan | [`plan`] | pure; same job, same bytes; a template in use is kept until the job itself changes |
//! | apply | [`apply`] | sends only what differs, never touches an object that the job does not own |
//! | observe | [`observe`] | asks the worker for its status, and sends the commands that lead to the desired state |
//! | status | [`status`] | pure; never a stale True, a new transition time only for a transition |
//! | patch | [`patch`] | writes only what changed; events on transitions only |
//!
//! [`reconcile`] runs these steps, in one function. A deleted job goes to [`deletion`] instead:
//!
//! ```text
//! evidence (pure) ─► turn ─► deadline (pure) ─► Stop to the worker, or a cleanup Job ─► finalizer removed
//! ```
//!
//! It asks the worker to stop and to drop slot and publication, or runs a short Job that does; after
//! `deletion.timeout` it releases the resource in any case, and reports the leak.
//!
//! [`cadence`] holds every duration. [`patch`] has three parts: the status, the events, the finalizer.
//!
//! Only [`apply`], [`deletion`], [`patch`] and [`token`] write to the cluster. Only [`observe`] and [`deletion`] call
//! workers, both through [`control`]. A failure at any step still reaches the status.

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
