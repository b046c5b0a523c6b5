//! One validated job description, whichever way it came in: checked once, here, before any connection.
//!
//! - [`environment`]: the variables of the dbmazz contract (standalone), and the file `.env`.
//! - [`description`]: the file that the operator mounts, with the secrets as files beside it.
//! - `limits`: what a value may be, whichever way it came in.
//!
//! Every refusal names the field or the variable and says what it should be; none quotes a secret.

mod control_token;
pub mod description;
pub mod dotenv;
pub mod environment;
mod file;
mod limits;
mod listen;
mod memory;
mod reload;
mod secret;
mod sink_url;
mod source_url;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use control_token::ControlToken;
pub use crds::spec::{
    Consistency, Deletes, DeletionPolicy, DesiredState, JsonNumbers, LogLevel, OnRefusedRow, TlsMode,
    TooLong, Unfit, Values,
};
pub use environment::SOON_ENOUGH;
pub use reload::{BatchChange, changed_tables};
pub use secret::Secret;

use crate::table::TableName;

/// Everything a worker needs to know. Each room receives only its part.
#[derive(Debug, Clone)]
pub struct JobConfig {
    /// Names the job in labels and logs: `namespace/name`, or the slot when standalone.
    pub job: String,
    pub source: SourceConfig,
    pub sink: SinkConfig,
    pub batch: BatchConfig,
    /// Bytes held between the socket and StarRocks' answer, all tables together.
    pub buffer: usize,
    /// Bytes that the process may take; none when nothing limits it.
    pub memory: Option<u64>,
    pub drain_timeout: Duration,
    /// Where it is noted which loads are under way, for a worker after this one; it should outlive the process.
    pub state_directory: Option<PathBuf>,
    /// Running or paused at the start.
    pub paused: bool,
    pub listen: ListenConfig,
    /// How much is logged, unless `RUST_LOG` says otherwise.
    pub log_level: LogLevel,
}

#[derive(Debug, Clone)]
pub struct SourceConfig {
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: Secret,
    pub tls: TlsConfig,
    pub slot: String,
    pub publication: String,
    /// Bytes of backlog above which it is read in chunks; none for never.
    pub catch_up: Option<u64>,
    /// Every change has to come with the whole row: all tables are loaded in one step.
    pub whole_rows: bool,
    /// Keys of the claims that workers of this job have laid, for remedies; known when a session begins.
    pub claims: Vec<String>,
    pub tables: Vec<TableName>,
}

#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub mode: TlsMode,
    /// A PEM bundle to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct SinkConfig {
    pub host: String,
    pub http_port: u16,
    pub query_port: u16,
    pub database: String,
    pub user: String,
    pub password: Secret,
    pub deletes: Deletes,
    pub consistency: Consistency,
    /// What becomes of values that StarRocks cannot hold.
    pub values: Values,
    pub on_refused_row: OnRefusedRow,
}

/// How much one load carries, and how far apart loads of one table begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchConfig {
    pub max_rows: usize,
    pub max_bytes: usize,
    pub min_interval: Duration,
}

/// Where the control servers listen. Port 0 lets the system choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenConfig {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    /// Commands are taken over HTTP, too: standalone. In a pod they come over gRPC only.
    pub http_commands: bool,
    /// What a command has to come with; without one only loopback takes commands.
    pub token: Option<ControlToken>,
}

/// What is wrong with the description: which field or variable, why, and what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    pub field: String,
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}
