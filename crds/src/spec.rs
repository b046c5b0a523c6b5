//! What a user wants: the `spec` of a `ReplicationJob`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
        printcolumn(name = "Lag", type_ = "integer", json_path = ".status.replication.lagSeconds"),
        printcolumn(name = "Tables", type_ = "integer", json_path = ".status.tables.total"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplicationJobSpec {
    /// Running; Paused (the worker stays, reading stops); or Stopped (drained, no worker; the slot stays).
    #[serde(default)]
    pub state: DesiredState,
    /// Where changes come from.
    pub source: Source,
    /// Where they go.
    pub sink: Sink,
    /// What happens to the job's objects in PostgreSQL when the resource is deleted.
    #[serde(default)]
    pub deletion: Deletion,
    /// The worker's process.
    #[serde(default)]
    pub worker: Worker,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DesiredState {
    #[default]
    Running,
    Paused,
    Stopped,
}

/// The source: PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    pub postgres: Postgres,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Postgres {
    /// Host name or address. A direct connection: not a pooler.
    pub host: String,
    #[serde(default = "postgres_port")]
    pub port: u16,
    pub database: String,
    pub credentials: Credentials,
    #[serde(default)]
    pub tls: Tls,
    /// The tables, each as `schema.name`, each with a primary key.
    pub tables: Vec<String>,
}

fn postgres_port() -> u16 {
    5432
}

/// A user name and a password, in a Secret of the job's namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    pub secret_ref: CredentialsSecret,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsSecret {
    pub name: String,
    #[serde(default = "username_key")]
    pub username_key: String,
    #[serde(default = "password_key")]
    pub password_key: String,
}

fn username_key() -> String {
    "username".into()
}

fn password_key() -> String {
    "password".into()
}

/// How the connection to PostgreSQL is protected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    #[serde(default)]
    pub mode: TlsMode,
    /// The certificate authority to trust; without it, those of the worker's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaSecret>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS; the certificate is not checked.
    Require,
    /// TLS; the certificate must come from a trusted authority.
    VerifyCA,
    /// TLS; the certificate must come from a trusted authority and name the host.
    #[default]
    VerifyFull,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaSecret {
    pub name: String,
    #[serde(default = "ca_key")]
    pub key: String,
}

fn ca_key() -> String {
    "ca.crt".into()
}

/// The sink: StarRocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sink {
    pub starrocks: Starrocks,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Starrocks {
    /// Host name or address of a frontend.
    pub host: String,
    #[serde(default = "http_port")]
    pub http_port: u16,
    #[serde(default = "query_port")]
    pub query_port: u16,
    /// Created when missing.
    pub database: String,
    pub credentials: Credentials,
    /// Soft: a deleted row stays, with `dbmazz_is_deleted` true. Hard: it goes.
    #[serde(default)]
    pub deletes: Deletes,
    #[serde(default)]
    pub batch: Batch,
}

fn http_port() -> u16 {
    8030
}

fn query_port() -> u16 {
    9030
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Deletes {
    #[default]
    Soft,
    Hard,
}

/// How much one load carries, and how often a table is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch {
    /// Rows of one load at most.
    #[serde(default = "max_rows")]
    pub max_rows: u32,
    /// Bytes of one load at most, as they are held in memory.
    #[serde(default = "max_bytes")]
    pub max_bytes: String,
    /// A table is loaded as soon as it has something and its last load began this long ago.
    #[serde(default = "min_interval")]
    pub min_interval: String,
}

impl Default for Batch {
    fn default() -> Self {
        Self { max_rows: max_rows(), max_bytes: max_bytes(), min_interval: min_interval() }
    }
}

fn max_rows() -> u32 {
    100_000
}

fn max_bytes() -> String {
    "16Mi".into()
}

fn min_interval() -> String {
    "1s".into()
}

/// What happens at the source when the resource is deleted. Only what the job created is ever dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deletion {
    #[serde(default)]
    pub slot: DeletionPolicy,
    #[serde(default)]
    pub publication: DeletionPolicy,
    /// After this long the resource goes, and what is left behind is reported.
    #[serde(default = "deletion_timeout")]
    pub timeout: String,
}

impl Default for Deletion {
    fn default() -> Self {
        Self { slot: Default::default(), publication: Default::default(), timeout: deletion_timeout() }
    }
}

fn deletion_timeout() -> String {
    "5m".into()
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
}

/// The worker's process and its pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Worker {
    /// Empty: the operator's default.
    #[serde(default)]
    pub image: String,
    /// Everything held between source and sink, all tables together.
    #[serde(default = "buffer")]
    pub buffer: String,
    /// How long a worker may take to load what it holds before it is ended.
    #[serde(default = "drain_timeout")]
    pub drain_timeout: String,
    #[serde(default)]
    pub log_level: LogLevel,
    #[serde(default)]
    pub resources: Resources,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            image: String::new(),
            buffer: buffer(),
            drain_timeout: drain_timeout(),
            log_level: LogLevel::default(),
            resources: Resources::default(),
        }
    }
}

fn buffer() -> String {
    "32Mi".into()
}

fn drain_timeout() -> String {
    "60s".into()
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

/// Kubernetes quantities by resource name, such as `memory: 128Mi`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
}
