//! What is: the `status` of a `ReplicationJob`. Nothing in it that cannot be rebuilt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicationJobStatus {}
