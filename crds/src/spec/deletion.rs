//! What becomes of the job's objects at the source when the resource is deleted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// What happens at the source when the resource is deleted. Only what the job created is ever dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
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
