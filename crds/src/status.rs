//! What is: the `status` of a `ReplicationJob`. Nothing in it that cannot be rebuilt.
//!
//! Every field is optional or has a default: a status is read back leniently, so that a job survives
//! an operator that goes back a version.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator last saw. Coarse: for exact figures ask the worker's metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicationJobStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word for people. Programs read the conditions.
    pub stage: Stage,
    /// Ready, WorkerAvailable, SourceHealthy, SinkHealthy, UpToDate and Stalled.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How far replication is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication: Option<Replication>,
    /// The replication slot at the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// The tables, in numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<Tables>,
    /// The worker's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerStatus>,
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// Not replicating yet, or not any more, and trying.
    #[default]
    Pending,
    /// Reading changes from the source.
    Streaming,
    /// Connected and not reading, by request.
    Paused,
    /// Drained, without a worker, by request.
    Stopped,
    /// Stopped by a fault until a person acts.
    Failed,
    /// Deleted, and cleaning up at the source.
    Deleting,
}

impl Stage {
    /// Every stage there is.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Streaming, Self::Paused, Self::Stopped, Self::Failed, Self::Deleting];

    /// The word itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Streaming => "Streaming",
            Self::Paused => "Paused",
            Self::Stopped => "Stopped",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
        }
    }
}

/// How far replication is. Written when it moved enough, and at most once a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replication {
    /// PostgreSQL was told that everything up to here is in StarRocks; as PostgreSQL writes it.
    #[serde(rename = "confirmedLSN")]
    pub confirmed_lsn: String,
    /// Age of the oldest commit that is not in StarRocks yet.
    pub lag_seconds: i64,
    /// Bytes of WAL received and not yet in StarRocks.
    pub lag_bytes: i64,
    /// When the worker said so.
    pub observed_at: Time,
}

/// The replication slot at the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    pub name: String,
    /// What PostgreSQL says of the WAL that the slot needs: reserved, extended, unreserved or lost.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wal_status: String,
    /// WAL that can still be written before PostgreSQL may remove what the slot needs; absent without a limit.
    #[serde(rename = "safeWALBytes", default, skip_serializing_if = "Option::is_none")]
    pub safe_wal_bytes: Option<i64>,
}

/// The tables, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tables {
    pub total: i32,
    pub failed: i32,
    /// The first of the failed tables, ten at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingTable>,
}

/// A table that is not replicated, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailingTable {
    pub name: String,
    pub reason: String,
    pub message: String,
}

/// The worker's process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStatus {
    pub image: String,
    /// The version that the worker reports.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The pod's name; empty while there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// Restarts of the container within this pod.
    pub restarts: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
}

/// How the worker's container ended the last time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastExit {
    pub code: i32,
    /// Kubernetes' word for it, such as `Error` or `OOMKilled`.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}
