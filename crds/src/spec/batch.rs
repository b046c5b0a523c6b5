//! The size of a load, and how often a table is loaded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// The size of a load, and how often a table is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Maximum rows per load.
    #[serde(default = "max_rows")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_rows: u32,
    /// Maximum bytes per load, as held in memory.
    #[serde(default = "max_bytes")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::bytes("64Ki", "1Gi")))]
    pub max_bytes: String,
    /// A table is loaded as soon as it has changes and this time has passed since its last load began.
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
