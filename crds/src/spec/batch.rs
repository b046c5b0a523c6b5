//! How much one load carries, and how often a table is loaded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// How much one load carries, and how often a table is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
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
