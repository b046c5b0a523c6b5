//! What a user tells the operator: the `ReplicationJob` resource (`dbmazz.dev/v1alpha1`).
//!
//! - [`spec`]: what is wanted, with every default and every bound beside its field.
//! - [`status`]: what is, and nothing in it that cannot be rebuilt.
//! - [`reason`]: the closed list of reasons that conditions, events and faults use.
//! - [`description`]: the resolved job that the operator mounts into a worker.
//! - [`limits`]: what a value may be, for the operator and the worker alike; [`check`] asks it of a whole spec.
//! - [`measure`]: how `30s` and `16Mi` are read, by everybody.
//! - `manifest`: the CRD, generated from the types above.
//!
//! Without the feature `kube` this crate knows nothing of Kubernetes: that is how the worker uses it.

pub mod check;
pub mod description;
pub mod limits;
#[cfg(feature = "kube")]
pub mod manifest;
pub mod measure;
pub mod reason;
mod rules;
pub mod spec;
#[cfg(feature = "kube")]
pub mod status;

pub use {description::JobDescription, reason::Reason, spec::ReplicationJobSpec};
#[cfg(feature = "kube")]
pub use {spec::ReplicationJob, status::ReplicationJobStatus};
