//! What a user wants: the `spec` of a `ReplicationJob`.
//!
//! Defaults and bounds stand beside their fields and are enforced by the API server, so that a wrong
//! manifest is refused by `kubectl apply`. The worker reads the same type, already checked.

#![allow(clippy::duplicated_attributes, reason = "two printer columns may have one type")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// The only kind of source there is.
    pub postgres: Postgres,
}

/// Where PostgreSQL is, and what is read there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Postgres {
    /// Host name or address. A direct connection: not a pooler.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = rules::host()))]
    pub host: String,
    /// The port of PostgreSQL.
    #[serde(default = "postgres_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The database that holds the tables. Fixed: its replication slot belongs to it.
    #[schemars(length(min = 1, max = 63))]
    #[schemars(extend("x-kubernetes-validations" = rules::fixed("a slot belongs to one database; create another ReplicationJob")))]
    pub database: String,
    /// A role that may log in, replicate, and read the tables.
    pub credentials: Credentials,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// A longer backlog than this is read in chunks, faster than it can be streamed; `Never`: always streamed.
    #[serde(default = "catch_up")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::catch_up()))]
    pub catch_up: String,
    /// The tables, each as `schema.name`, each with a primary key. A change restarts no worker.
    #[schemars(length(min = 1, max = 1000), extend("x-kubernetes-list-type" = "set"))]
    #[schemars(inner(length(max = 127)), transform = rules::each_a_table)]
    pub tables: Vec<String>,
}

fn catch_up() -> String {
    "256Mi".into()
}

fn postgres_port() -> u16 {
    5432
}

const SECRET_NAME: &str = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
const SECRET_KEY: &str = r"^[-._a-zA-Z0-9]+$";

/// A user name and a password, in a Secret of the job's namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The Secret, and its keys.
    pub secret_ref: CredentialsSecret,
}

/// A Secret with a user name and a password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub name: String,
    /// The key that holds the user name.
    #[serde(default = "username_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub username_key: String,
    /// The key that holds the password.
    #[serde(default = "password_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
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
#[schemars(extend("x-kubernetes-validations" = rules::rule(
    "!has(self.caSecretRef) || self.mode in ['VerifyCA', 'VerifyFull']",
    "caSecretRef needs mode VerifyCA or VerifyFull: the other modes check no certificate",
)))]
pub struct Tls {
    /// Disable; Require (encrypted, certificate not checked); VerifyCA; or VerifyFull (the host's name too).
    #[serde(default)]
    pub mode: TlsMode,
    /// The certificate authority to trust; without it, those of the worker's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaSecret>,
}

/// What is checked of the other side's certificate.
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

/// A Secret with a certificate authority in PEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub name: String,
    /// The key that holds the certificate.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub key: String,
}

fn ca_key() -> String {
    "ca.crt".into()
}

/// The sink: StarRocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sink {
    /// The only kind of sink there is.
    pub starrocks: Starrocks,
}

/// Where StarRocks is, and how rows get there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::rule(
    "self.consistency != 'Transaction' || self.onRefusedRow == 'Halt'",
    "consistency Transaction needs onRefusedRow Halt: a row that is parked would be missing from its transaction",
)))]
pub struct Starrocks {
    /// Host name or address of a frontend.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = rules::host()))]
    pub host: String,
    /// The frontend's HTTP port, for loads.
    #[serde(default = "http_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub http_port: u16,
    /// The frontend's MySQL port, for DDL.
    #[serde(default = "query_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub query_port: u16,
    /// Created when missing. Fixed: what was loaded does not move.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_-]*$"))]
    #[schemars(extend("x-kubernetes-validations" = rules::fixed("what was loaded does not move; create another ReplicationJob")))]
    pub database: String,
    /// A user that may create, alter and load tables.
    pub credentials: Credentials,
    /// Soft: a deleted row stays, with `dbmazz_is_deleted` true. Hard: it goes. Fixed.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::fixed("rows deleted so far were treated the other way; create another ReplicationJob")))]
    pub deletes: Deletes,
    /// Row: each table is loaded by itself. Transaction (StarRocks 4.0.7 and later; every table with REPLICA
    /// IDENTITY FULL): all tables in one step, so that readers never see half a transaction of the source.
    #[serde(default)]
    pub consistency: Consistency,
    /// How much one load carries.
    #[serde(default)]
    pub batch: Batch,
    /// What becomes of values that StarRocks cannot hold. A key is never altered: there, every one halts its table.
    #[serde(default)]
    pub values: Values,
    /// What becomes of a row that StarRocks refuses all the same: Halt the table; or DeadLetter, park it in the
    /// table dbmazz_dead_letters of the sink's database and go on.
    #[serde(default)]
    pub on_refused_row: OnRefusedRow,
}

fn http_port() -> u16 {
    8030
}

fn query_port() -> u16 {
    9030
}

/// What a delete at the source does in StarRocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Deletes {
    #[default]
    Soft,
    Hard,
}

/// What readers of StarRocks see at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Consistency {
    /// Every row whole; tables one after the other.
    #[default]
    Row,
    /// Every transaction of the source whole, in all of its tables.
    Transaction,
}

/// What becomes of a row that StarRocks refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRefusedRow {
    /// The table stops, with the reason, until a person acts.
    #[default]
    Halt,
    /// The row is parked, whole, in a table of its own, and the others flow.
    DeadLetter,
}

/// What becomes of values that StarRocks cannot hold, by what they are. Every one is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Values {
    /// Dates and timestamps that are infinite, before the year 1 or after 9999: Halt the table; store Null; or
    /// create such columns as VARCHAR and store their Text.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::column_types()))]
    pub dates: Unfit,
    /// NaN in numeric columns that are DECIMAL in StarRocks: Halt, Null or Text.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::column_types()))]
    pub decimals: Unfit,
    /// In json, jsonb, hstore and arrays: numbers beyond a double, keys that come twice, \u0000, halves of
    /// surrogate pairs, more than 16 MiB, and the JSON value null: Halt, Null or Text.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::column_types()))]
    pub json: Unfit,
    /// Numbers in JSON with more digits than 64 bits or a double can hold: Exact (they are treated as `json`
    /// says) or Round (they become the nearest double).
    #[serde(default)]
    pub json_numbers: JsonNumbers,
    /// Text and bytea of more than 1 MiB: Halt, Null, or Truncate.
    #[serde(default)]
    pub too_long: TooLong,
}

/// What becomes of a value that its column cannot hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Unfit {
    /// The table stops, with the reason, until a person acts.
    #[default]
    Halt,
    /// The value is stored as NULL.
    Null,
    /// Such columns are VARCHAR from the start, and hold every value as its text.
    Text,
}

/// What becomes of a number in JSON that has too many digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum JsonNumbers {
    /// Its value is one that StarRocks cannot hold.
    #[default]
    Exact,
    /// It becomes the nearest double.
    Round,
}

/// What becomes of a value that is too long for StarRocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TooLong {
    /// The table stops, with the reason, until a person acts.
    #[default]
    Halt,
    /// The value is stored as NULL.
    Null,
    /// Its first part is stored.
    Truncate,
}

/// How much one load carries, and how often a table is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch {
    /// Rows of one load at most.
    #[serde(default = "max_rows")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_rows: u32,
    /// Bytes of one load at most, as they are held in memory.
    #[serde(default = "max_bytes")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::bytes("64Ki", "1Gi")))]
    pub max_bytes: String,
    /// A table is loaded as soon as it has something and its last load began this long ago.
    #[serde(default = "min_interval")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::duration("10ms", "5m")))]
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
    /// Delete, or Retain: a retained slot keeps WAL at the source until somebody drops it, and keeps its
    /// publication.
    #[serde(default)]
    pub slot: DeletionPolicy,
    /// Delete or Retain.
    #[serde(default)]
    pub publication: DeletionPolicy,
    /// After this long the resource goes, and what is left behind is reported.
    #[serde(default = "deletion_timeout")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::duration("5s", "24h")))]
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

/// What becomes of an object at the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
}

/// The worker's process and its pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::rule(
    "!('memory' in self.resources.limits) || quantity(self.resources.limits['memory']).compareTo(quantity(self.buffer).add(quantity('16Mi'))) >= 0",
    "resources.limits.memory must exceed buffer by at least 16Mi, or the worker is killed under load",
)))]
pub struct Worker {
    /// Empty: the operator's default, kept until the next restart for another reason.
    #[serde(default)]
    #[schemars(length(max = 512), regex(pattern = r"^\S*$"))]
    pub image: String,
    /// Everything held between source and sink, all tables together.
    #[serde(default = "buffer")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::bytes("4Mi", "4Gi")))]
    pub buffer: String,
    /// How long a worker may take to load what it holds before it is ended.
    #[serde(default = "drain_timeout")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::duration("1s", "1h")))]
    pub drain_timeout: String,
    /// How much the worker says.
    #[serde(default)]
    pub log_level: LogLevel,
    /// What the container asks for, and what it may use.
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

/// How much the worker says.
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
    /// What the scheduler sets aside.
    #[serde(default)]
    #[schemars(transform = rules::quantities)]
    pub requests: BTreeMap<String, String>,
    /// What the container may use.
    #[serde(default)]
    #[schemars(transform = rules::quantities)]
    pub limits: BTreeMap<String, String>,
}
