//! The worker's process and its resources.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// The worker's process and its pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::rule(
    "!('memory' in self.resources.limits) || quantity(self.resources.limits['memory']).compareTo(quantity(self.buffer).add(quantity('16Mi'))) >= 0",
    "resources.limits.memory must exceed buffer by at least 16Mi, or the worker is killed under load",
)))]
pub struct Worker {
    /// The worker's image. Empty: the operator's default, kept until the next restart for another reason.
    #[serde(default)]
    #[schemars(length(max = 512), regex(pattern = r"^\S*$"))]
    pub image: String,
    /// Maximum bytes held between source and sink, for all tables together.
    #[serde(default = "buffer")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::bytes("4Mi", "4Gi")))]
    pub buffer: String,
    /// How long a worker may take to load the changes that it holds before it is killed.
    #[serde(default = "drain_timeout")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::duration("1s", "1h")))]
    pub drain_timeout: String,
    /// The log level of the worker.
    #[serde(default)]
    pub log_level: LogLevel,
    /// Resource requests and limits of the container.
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

/// The log level of the worker.
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
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Resources that the scheduler reserves.
    #[serde(default)]
    #[schemars(transform = rules::quantities)]
    pub requests: BTreeMap<String, String>,
    /// Resources that the container may use.
    #[serde(default)]
    #[schemars(transform = rules::quantities)]
    pub limits: BTreeMap<String, String>,
}
