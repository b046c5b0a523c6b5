//! A valid job: what `validate` makes of a resource, and what all later steps rely on.

use std::time::Duration;

use crds::{
    JobDescription, ReplicationJob, ReplicationJobStatus,
    spec::{DeletionPolicy, DesiredState, SnapshotMode},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::problem::sentences;

/// Which resource it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub generation: i64,
}

/// One job, validated, with everything that is derived from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub identity: Identity,
    /// The job description that the worker reads.
    pub description: JobDescription,
    /// A request to copy existing rows, which the description does not contain.
    pub copy_request: Option<CopyRequest>,
    /// The job only copies, and its status says that it has ended. Where the status was wiped, a worker is started and
    /// says so again.
    pub completed: bool,
    pub drain_timeout: Duration,
    pub deletion: Deletion,
}

/// A request to copy existing rows anew, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRequest {
    pub name: String,
    /// None for every table of the job.
    pub tables: Vec<String>,
}

/// What a deletion does at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    pub keep_slot: bool,
    pub keep_publication: bool,
    pub timeout: Duration,
}

impl Job {
    /// Whether the job ends when every row is copied.
    pub fn only_copies(&self) -> bool {
        self.description.spec.snapshot.mode == SnapshotMode::Only
    }

    /// Whether the job has no worker: by request, or because it has ended.
    pub fn has_no_worker(&self) -> bool {
        self.state() == DesiredState::Stopped || self.completed
    }

    /// The state that the user asks for.
    pub fn state(&self) -> DesiredState {
        self.description.spec.state
    }

    /// The resource, rebuilt from the last description that could be read.
    pub fn resource(&self, metadata: &ObjectMeta, status: ReplicationJobStatus) -> ReplicationJob {
        let (metadata, spec) = (metadata.clone(), self.description.spec.clone());
        ReplicationJob { metadata, spec, status: Some(status) }
    }

    /// Makes the resource the owner of an object.
    pub fn owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: "dbmazz.dev/v1alpha1".into(),
            kind: "ReplicationJob".into(),
            name: self.identity.name.clone(),
            uid: self.identity.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// The statements that a person must run at the source when neither worker nor cleanup Job could.
    pub fn remedy(&self) -> String {
        let postgres = &self.description.spec.source.postgres;
        let place = format!("in database {} at {}:{} run", postgres.database, postgres.host, postgres.port);
        let slot = drop_slot(&self.description.slot);
        let publication = format!("DROP PUBLICATION IF EXISTS {};", self.description.publication);
        match (self.deletion.keep_slot, self.deletion.keep_publication) {
            (true, _) => String::new(),
            (false, true) => sentences(&[&format!("{place}: {slot}")]),
            (false, false) => sentences(&[&format!("{place}: {slot} {publication}")]),
        }
    }
}

/// A statement that also succeeds where the slot does not exist; our names need no quoting.
pub fn drop_slot(name: &str) -> String {
    format!(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{name}';"
    )
}

impl Deletion {
    /// Whether everything stays at the source.
    pub fn drops_nothing(&self) -> bool {
        self.keep_slot && self.keep_publication
    }

    /// From the policies in the spec.
    pub fn new(slot: DeletionPolicy, publication: DeletionPolicy, timeout: Duration) -> Self {
        Self {
            keep_slot: slot == DeletionPolicy::Retain,
            // A slot cannot be read without its publication.
            keep_publication: slot == DeletionPolicy::Retain || publication == DeletionPolicy::Retain,
            timeout,
        }
    }
}
