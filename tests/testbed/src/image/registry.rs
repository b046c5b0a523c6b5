//! Images to a registry, by skopeo: it knows the logins of docker and podman, and every kind of registry.

use std::process::Command;

use anyhow::{Context, Result};

use super::Image;
use crate::{packages, run};

impl Image {
    /// Pushes the image to the registry in its reference.
    pub fn push(&self) -> Result<()> {
        if packages::find("skopeo", &[]).is_none() {
            packages::install(&["skopeo"])?;
        }
        run::output(&mut self.skopeo()).map(drop).with_context(|| {
            let registry = registry(&self.reference);
            format!(
                "the registry {registry} did not take the image {}; log in with `skopeo login {registry}` as somebody who \
                 may push there, or name another REGISTRY",
                self.reference
            )
        })
    }

    fn skopeo(&self) -> Command {
        let mut skopeo = Command::new("skopeo");
        // Nobody has signed what was built a moment ago.
        skopeo.args(["--insecure-policy", "copy", "--retry-times=2"]);
        if is_loopback(registry(&self.reference)) {
            skopeo.arg("--dest-tls-verify=false");
        }
        let archive = format!("oci-archive:{}", self.archive.display());
        skopeo.args([archive, format!("docker://{}", self.reference)]);
        skopeo
    }
}

fn registry(reference: &str) -> &str {
    reference.split_once('/').map_or(reference, |(registry, _)| registry)
}

/// Container runtimes, too, speak plain HTTP to a registry on loopback.
fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_on_loopback_is_spoken_to_without_tls() {
        let is_plain = |reference| is_loopback(registry(reference));
        assert!(is_plain("127.0.0.1:5000/operator:1") && is_plain("localhost/team/operator:1"));
        assert!(!is_plain("localhost.example.com/operator:1") && !is_plain("ghcr.io/127.0.0.1/operator:1"));
    }
}
