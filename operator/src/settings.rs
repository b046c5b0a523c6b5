//! The operator's settings: one struct, from flags or the environment, read once.

use std::net::SocketAddr;

/// The operator of ReplicationJobs.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "dbmazz-operator", version)]
pub struct Settings {
    /// The image of workers whose job names none.
    #[arg(long, env = "WORKER_IMAGE")]
    pub worker_image: String,
    /// When nodes pull the worker's image.
    #[arg(long, env = "WORKER_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    pub worker_image_pull_policy: String,
    /// The namespaces to serve, separated by commas; none: all of them.
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_address: SocketAddr,
}

impl Settings {
    /// The namespaces to serve; a single `None` for the whole cluster.
    pub fn scopes(&self) -> Vec<Option<String>> {
        let named = self.watch_namespaces.iter().filter(|name| !name.is_empty());
        let named: Vec<_> = named.cloned().map(Some).collect();
        if named.is_empty() { vec![None] } else { named }
    }
}
