//! What happens to the job's objects at the source when the resource is deleted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// What happens at the source when the resource is deleted. Only objects that the job created are dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Delete, or Retain: a retained slot keeps WAL at the source until it is dropped by hand, and its publication is
    /// retained too.
    #[serde(default)]
    pub slot: DeletionPolicy,
    /// Delete or Retain.
    #[serde(default)]
    pub publication: DeletionPolicy,
    /// After this time the resource is released, and what remains at the source is reported.
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

/// What happens to an object at the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
}
