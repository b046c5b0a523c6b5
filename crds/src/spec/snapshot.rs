//! The copy of rows that exist before the job.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The copy of rows that exist in the source before the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Initial: existing rows of a table are copied once, while its changes flow. Never: only changes are replicated.
    #[serde(default)]
    pub mode: SnapshotMode,
    /// Maximum rows of a chunk; changes of a table wait while a chunk of it is copied, usually for about two seconds.
    #[serde(default = "chunk_rows")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub chunk_rows: u32,
    /// Tables that are copied at once, each by a connection to the source.
    #[serde(default = "parallelism")]
    #[schemars(range(min = 1, max = 16))]
    pub parallelism: u8,
}

/// Whether existing rows are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotMode {
    #[default]
    Initial,
    Never,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { mode: SnapshotMode::default(), chunk_rows: chunk_rows(), parallelism: parallelism() }
    }
}

impl Snapshot {
    /// Left out of job descriptions, which then are those of earlier versions.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn chunk_rows() -> u32 {
    500_000
}

fn parallelism() -> u8 {
    2
}
