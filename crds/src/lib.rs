//! The `ReplicationJob` resource (`dbmazz.dev/v1alpha1`), by which a user asks for replication.
//!
//! - [`spec`]: the desired state, with every default and every bound beside its field.
//! - [`status`]: the observed state; all of it can be rebuilt.
//! - [`reason`]: the closed list of reasons that conditions, events and faults use.
//! - [`description`]: the resolved job that the operator mounts into a worker.
//! - [`limits`]: the valid values, for the operator and the worker alike; [`check`] applies them to a whole spec.
//! - [`measure`]: parses `30s` and `16Mi`.
//! - `manifest`: the CRD, generated from the types above.
//!
//! The worker uses this crate without the feature `kube`, and so without any Kubernetes types.

pub mod check;
pub mod description;
pub mod limits;
#[cfg(feature = "kube")]
pub mod manifest;
pub mod measure;
pub mod reason;
mod rules;
#[cfg(feature = "kube")]
mod schema;
pub mod spec;
#[cfg(feature = "kube")]
pub mod status;

pub use {description::JobDescription, reason::Reason, spec::ReplicationJobSpec};
#[cfg(feature = "kube")]
pub use {spec::ReplicationJob, status::ReplicationJobStatus};
