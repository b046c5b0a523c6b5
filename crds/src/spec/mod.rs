//! The desired state: the `spec` of a `ReplicationJob`.
//!
//! Defaults and bounds are declared beside their fields and enforced by the API server, so that `kubectl apply` refuses
//! an invalid manifest. The worker reads the same type from its job description.

#![allow(clippy::duplicated_attributes, reason = "two printer columns may have one type")]

mod batch;
mod deletion;
mod postgres;
mod secret;
mod snapshot;
mod starrocks;
mod tls;
mod values;
mod worker;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    batch::Batch,
    deletion::{Deletion, DeletionPolicy},
    postgres::{OnLost, Postgres, Slot},
    secret::{CaSecret, Credentials, CredentialsSecret},
    snapshot::{OnTargetLost, Snapshot, SnapshotMode},
    starrocks::{Consistency, Deletes, OnRefusedRow, Starrocks},
    tls::{Tls, TlsMode},
    values::{JsonNumbers, TooLong, Unfit, Values},
    worker::{LogLevel, Resources, Worker},
};

/// One job: tables of one PostgreSQL database, replicated into one StarRocks database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "dbmazz.dev",
        version = "v1alpha1",
        kind = "ReplicationJob",
        namespaced,
        status = "crate::status::ReplicationJobStatus",
        derive = "PartialEq",
        shortname = "rjob",
        category = "dbmazz",
        doc = "Replicates tables of one PostgreSQL database into StarRocks, continuously.",
        printcolumn(name = "State", type_ = "string", json_path = ".status.stage"),
        printcolumn(
            name = "Ready",
            type_ = "string",
            json_path = ".status.conditions[?(@.type=='Ready')].status"
        ),
        printcolumn(name = "Lag", type_ = "integer", json_path = ".status.replication.lagSeconds"),
        printcolumn(name = "Snapshot", type_ = "integer", json_path = ".status.snapshot.percent"),
        printcolumn(name = "Tables", type_ = "integer", json_path = ".status.tables.total"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ReplicationJobSpec {
    /// Running; Paused (the worker stays, reading stops); or Stopped (drained, no worker; the slot stays).
    #[serde(default)]
    pub state: DesiredState,
    /// The database to replicate from.
    pub source: Source,
    /// The database to replicate into.
    pub sink: Sink,
    /// The copy of rows that exist in the source before the job.
    #[serde(default, skip_serializing_if = "Snapshot::is_default")]
    #[schemars(extend("default" = snapshot::default_value()))]
    pub snapshot: Snapshot,
    /// What happens to the job's slot and publication in PostgreSQL when the resource is deleted.
    #[serde(default)]
    pub deletion: Deletion,
    /// The worker's process and its pod.
    #[serde(default)]
    pub worker: Worker,
}

/// Whether changes flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DesiredState {
    #[default]
    Running,
    Paused,
    Stopped,
}

/// The source: PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// PostgreSQL, the only supported source.
    pub postgres: Postgres,
}

/// The sink: StarRocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sink {
    /// StarRocks, the only supported sink.
    pub starrocks: Starrocks,
}
