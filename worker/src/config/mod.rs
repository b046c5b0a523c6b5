//! The validated configuration of a worker: checked once, here, before any connection is made.
//!
//! - [`environment`]: the variables of the dbmazz contract (standalone), and the file `.env`.
//! - [`description`]: the job description that the operator mounts, with the secrets as files beside it.
//! - `limits`: the valid values, for both.
//!
//! Every error names the field or the variable and says what it must be; none quotes a secret.

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
    Consistency, Deletes, DeletionPolicy, DesiredState, JsonNumbers, LogLevel, OnLost, OnRefusedRow,
    OnTargetLost, TlsMode, TooLong, Unfit, Values,
};
pub use environment::SOON_ENOUGH;
pub use reload::{BatchChange, changed_tables};
pub use secret::Secret;

use crate::table::TableName;

/// The configuration of a worker. Each module receives only its part.
#[derive(Debug, Clone)]
pub struct JobConfig {
    /// The job's name in labels and logs: `namespace/name`, or the slot when standalone.
    pub job: String,
    pub source: SourceConfig,
    pub sink: SinkConfig,
    pub snapshot: SnapshotConfig,
    pub batch: BatchConfig,
    /// Maximum bytes held between the socket and StarRocks' answer, for all tables together.
    pub buffer: usize,
    /// Memory limit of the process in bytes; `None` without a limit.
    pub memory: Option<u64>,
    pub drain_timeout: Duration,
    /// The directory of the journal of loads in flight, which the next worker reads; it should outlive the process.
    pub state_directory: Option<PathBuf>,
    /// Running or paused at the start.
    pub paused: bool,
    pub listen: ListenConfig,
    /// The log level, unless `RUST_LOG` is set.
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
    /// What happens when the slot is lost.
    pub on_lost: OnLost,
    /// A backlog of more bytes than this is read in chunks; `None` for never.
    pub catch_up: Option<u64>,
    /// Every change has to contain the whole row, because all tables are loaded in one transaction.
    pub whole_rows: bool,
    /// Keys of the claims of this job's workers, for remedies; known when a session begins.
    pub claims: Vec<String>,
    pub tables: Vec<TableName>,
    /// Memory for rows that are copied; `None` without a limit.
    pub copy_memory: Option<CopyMemory>,
}

/// Memory of the process in bytes, as far as it limits the size of a row that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyMemory {
    pub limit: u64,
    pub buffer: u64,
    /// Rows that are read at once.
    pub readers: u64,
}

impl CopyMemory {
    /// Memory of the process without rows: its program, connections, parts of request bodies.
    pub const PROGRAM: u64 = 20 << 20;

    /// How often a row is held: as the server wrote it, as the stream would send it, in a batch, and encoded.
    const TIMES: u64 = 4;

    /// The largest row that may be read.
    pub fn largest_row(self) -> u64 {
        self.limit.saturating_sub(Self::PROGRAM + self.buffer) / (Self::TIMES * self.readers.max(1))
    }

    /// The limit that a row of so many bytes needs.
    pub fn needed(self, row: u64) -> u64 {
        row * Self::TIMES * self.readers.max(1) + Self::PROGRAM + self.buffer
    }
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
    /// What happens to values that StarRocks cannot represent.
    pub values: Values,
    pub on_refused_row: OnRefusedRow,
    /// What happens to a table whose target was dropped or emptied.
    pub on_target_lost: OnTargetLost,
}

/// The copy of rows that exist before the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// Whether they are copied.
    pub initial: bool,
    /// Whether the job ends when they are.
    pub only: bool,
    /// Rows of a chunk at most.
    pub chunk_rows: u64,
    /// Tables that are copied at once.
    pub parallelism: usize,
}

/// The size of a load, and the time between the begins of two loads of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchConfig {
    pub max_rows: usize,
    pub max_bytes: usize,
    pub min_interval: Duration,
}

/// The addresses of the control servers. With port 0 the system chooses one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenConfig {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    /// Whether commands are accepted over HTTP too: standalone only. In a pod they come over gRPC.
    pub http_commands: bool,
    /// The token that commands must carry; without one commands are accepted on loopback only.
    pub token: Option<ControlToken>,
}

/// An error in the configuration: the field or variable, and what it must be.
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
