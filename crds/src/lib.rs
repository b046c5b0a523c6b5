//! What a user tells the operator: the `ReplicationJob` resource (`dbmazz.dev/v1alpha1`).
//!
//! - [`spec`]: what is wanted, with every default beside its field.
//! - [`status`]: what is, and nothing in it that cannot be rebuilt.
//! - [`reason`]: the closed list of reasons that conditions, events and faults use.
//! - [`description`]: the resolved job that the operator mounts into a worker.

pub mod description;
#[cfg(feature = "kube")]
mod job;
pub mod reason;
pub mod spec;
pub mod status;

#[cfg(feature = "kube")]
pub use job::ReplicationJob;
pub use {
    description::JobDescription,
    reason::Reason,
    spec::ReplicationJobSpec,
    status::ReplicationJobStatus,
};
