//! The job description: the resolved job without secrets, which the operator mounts into a worker.
//!
//! The worker reads it from `/etc/dbmazz/job/job.json`. Secrets are files beside it, under names that
//! do not depend on the keys of the user's Secrets.

use serde::{Deserialize, Serialize};

use crate::spec::ReplicationJobSpec;

/// Where the operator mounts the description, and the secrets below it.
pub const DIRECTORY: &str = "/etc/dbmazz";
/// The description itself, in [`DIRECTORY`]`/job/`.
pub const JOB_FILE: &str = "job/job.json";
/// The source user's name.
pub const SOURCE_USERNAME: &str = "source/username";
/// The source user's password.
pub const SOURCE_PASSWORD: &str = "source/password";
/// The certificate authority of the source, where `tls.caSecretRef` is given.
pub const SOURCE_CA: &str = "source-ca/ca.crt";
/// The sink user's name.
pub const SINK_USERNAME: &str = "sink/username";
/// The sink user's password.
pub const SINK_PASSWORD: &str = "sink/password";
/// The token that every command to the worker must carry.
pub const CONTROL_TOKEN: &str = "control/token";

/// One job, resolved: the spec of a `ReplicationJob` and the names derived from the resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobDescription {
    /// `namespace/name` of the resource.
    pub job: String,
    /// The replication slot, derived from the resource's name and UID.
    pub slot: String,
    /// The publication, derived like the slot.
    pub publication: String,
    /// The spec of the resource.
    pub spec: ReplicationJobSpec,
}
