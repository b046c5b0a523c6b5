//! The observed state: the `status` of a `ReplicationJob`. All of it can be rebuilt.
//!
//! Every field is optional or has a default, and an unreadable one counts as absent: another version of the operator
//! may have written it, and none is needed to run the job.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use crate::schema;

/// What the operator last observed. Coarse: the worker's metrics have the exact figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicationJobStatus {
    /// The generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "readable")]
    pub observed_generation: Option<i64>,
    /// One word for people. Programs read the conditions.
    #[serde(deserialize_with = "readable")]
    pub stage: Stage,
    /// Ready, WorkerAvailable, SourceHealthy, SinkHealthy, SnapshotComplete, UpToDate and Stalled.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[serde(deserialize_with = "readable_ones")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// How far replication is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "readable")]
    pub replication: Option<Replication>,
    /// The copy of existing rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "readable")]
    pub snapshot: Option<Snapshot>,
    /// The replication slot at the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "readable")]
    pub slot: Option<Slot>,
    /// The number of tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "readable")]
    pub tables: Option<Tables>,
    /// The worker's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "readable")]
    pub worker: Option<WorkerStatus>,
}

/// Reads a field that another version may have written; an unreadable one counts as absent.
fn readable<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(field: D) -> Result<T, D::Error> {
    let written = serde_json::Value::deserialize(field)?;
    Ok(serde_json::from_value(written).unwrap_or_default())
}

/// Reads the entries of a list, without those that are unreadable.
fn readable_ones<'de, D: Deserializer<'de>, T: DeserializeOwned>(field: D) -> Result<Vec<T>, D::Error> {
    let written = serde_json::Value::deserialize(field)?;
    let entries = written.as_array().into_iter().flatten();
    Ok(entries.filter_map(|entry| serde_json::from_value(entry.clone()).ok()).collect())
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// Not replicating yet, or not any more, and retrying.
    #[default]
    Pending,
    /// Copying existing rows while reading changes.
    Snapshotting,
    /// Reading changes from the source.
    Streaming,
    /// Connected and not reading, by request.
    Paused,
    /// Drained, without a worker, by request.
    Stopped,
    /// Everything was copied and nothing more is asked for (`snapshot.mode: Only`); without a worker.
    Completed,
    /// Stopped by a fault until a person acts.
    Failed,
    /// Deleted, and cleaning up at the source.
    Deleting,
}

impl Stage {
    /// Every stage there is.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Snapshotting,
        Self::Streaming,
        Self::Paused,
        Self::Stopped,
        Self::Completed,
        Self::Failed,
        Self::Deleting,
    ];

    /// The stage as written in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Snapshotting => "Snapshotting",
            Self::Streaming => "Streaming",
            Self::Paused => "Paused",
            Self::Stopped => "Stopped",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
        }
    }
}

/// How far replication is. Updated when it moved enough, and at most once a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replication {
    /// The position confirmed to PostgreSQL: everything before it is in StarRocks. In PostgreSQL's notation.
    #[serde(rename = "confirmedLSN")]
    pub confirmed_lsn: String,
    /// Age of the oldest commit that is not in StarRocks yet.
    pub lag_seconds: i64,
    /// Bytes of WAL received and not yet in StarRocks.
    pub lag_bytes: i64,
    /// When the worker reported these figures.
    #[schemars(schema_with = "schema::time")]
    pub observed_at: Time,
}

/// The copy of existing rows. Updated when the percentage moves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The last `spec.snapshot.request` that the worker took up.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// When the operator saw that the copies had begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_time")]
    pub started_at: Option<Time>,
    /// When the operator saw that every table's target had every row; absent while rows are copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_time")]
    pub completed_at: Option<Time>,
    /// Blocks that are copied, of all blocks of the tables; 100 only when every row is there.
    pub percent: i32,
    /// Rows loaded by these copies.
    pub rows: i64,
    /// Blocks of the tables that are copied.
    pub chunks_done: i64,
    /// Blocks that the tables had when their copies began.
    pub chunks_total: i64,
    /// Why the copy of a table cannot go on, or a request was refused; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// The replication slot at the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    pub name: String,
    /// `wal_status` of the slot in PostgreSQL: reserved, extended, unreserved or lost.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wal_status: String,
    /// WAL that can still be written before PostgreSQL may remove what the slot needs; absent without a limit.
    #[serde(rename = "safeWALBytes", default, skip_serializing_if = "Option::is_none")]
    pub safe_wal_bytes: Option<i64>,
}

/// The number of tables.
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
    /// The name of the pod; empty while there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// Restarts of the container within this pod.
    pub restarts: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
}

/// How the worker's container last terminated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastExit {
    pub code: i32,
    /// Kubernetes' reason, such as `Error` or `OOMKilled`.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// When it terminated.
    #[schemars(schema_with = "schema::optional_time")]
    pub at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_of_another_version_is_read_as_far_as_it_is_understood() {
        let condition = json!({
            "type": "Ready", "status": "True", "reason": "Replicating", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let written = json!({
            "stage": "Hibernating", "observedGeneration": 7, "mood": "good",
            "conditions": [condition, {"type": "Novel"}],
            "replication": {"position": 1}, "slot": {"name": "s", "walStatus": "reserved", "colour": "red"},
        });
        let status: ReplicationJobStatus = serde_json::from_value(written).unwrap();
        assert_eq!((status.stage, status.observed_generation), (Stage::Pending, Some(7)));
        assert_eq!((status.conditions.len(), status.replication), (1, None));
        assert_eq!(status.slot.map(|slot| slot.name).as_deref(), Some("s"));
    }
}
