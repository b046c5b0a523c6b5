//! The copy of rows that exist before the job.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rules;

/// The copy of rows that exist in the source before the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::snapshot()))]
pub struct Snapshot {
    /// Initial: existing rows of a table are copied once, while its changes flow. Never: only changes are replicated.
    /// Only: existing rows are copied once, with the changes of that time, and the job ends as Completed.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::fixed("create another ReplicationJob, or copy on demand with snapshot.request")))]
    pub mode: SnapshotMode,
    /// Maximum rows of a chunk; changes of a table wait while a chunk of it is copied, usually for a second or two.
    #[serde(default = "chunk_rows")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub chunk_rows: u32,
    /// Tables that are copied at once, each by a connection to the source.
    #[serde(default = "parallelism")]
    #[schemars(range(min = 1, max = 16))]
    pub parallelism: u8,
    /// What happens to a table whose target was dropped or emptied by somebody. Halt: the table is halted with the
    /// reason TargetLost. Copy: its rows are copied anew.
    #[serde(default)]
    pub on_target_lost: OnTargetLost,
    /// A name of your choice, such as a date: a changed one starts one copy of the existing rows, while changes flow.
    #[serde(default)]
    #[schemars(length(max = 64), extend("x-kubernetes-validations" = rules::request()))]
    pub request: String,
    /// The tables that `request` copies anew; empty: every table of the job.
    #[serde(default)]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "set"))]
    #[schemars(inner(length(max = 127)), transform = rules::each_a_table)]
    pub request_tables: Vec<String>,
}

/// Whether existing rows are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotMode {
    #[default]
    Initial,
    Never,
    Only,
}

/// What happens to a table whose target was dropped or emptied by somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnTargetLost {
    #[default]
    Halt,
    Copy,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            mode: SnapshotMode::default(),
            chunk_rows: chunk_rows(),
            parallelism: parallelism(),
            on_target_lost: OnTargetLost::default(),
            request: String::new(),
            request_tables: Vec::new(),
        }
    }
}

impl Snapshot {
    /// Left out of job descriptions, which then are those of earlier versions.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// As the schema has it: a change of a fixed field is noticed only where the old value is known.
pub(super) fn default_value() -> Value {
    json!(Snapshot::default())
}

fn chunk_rows() -> u32 {
    500_000
}

fn parallelism() -> u8 {
    2
}
