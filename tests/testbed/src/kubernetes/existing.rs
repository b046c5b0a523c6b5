//! A cluster that exists already: used by its kubeconfig, with images from a registry, and never by accident.
//!
//! `KUBECONFIG` alone is set on many machines and may name a cluster of value, so it takes `REGISTRY` too.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{Binaries, Cluster, Place};
use crate::{packages, progress, run};

impl Cluster {
    /// The cluster that `KUBECONFIG` and `REGISTRY` name, or `None` when one of them is not set.
    pub fn existing() -> Result<Option<Self>> {
        match (variable("KUBECONFIG"), variable("REGISTRY")) {
            (Some(kubeconfig), Some(registry)) => Self::at(kubeconfig.into(), registry).map(Some),
            (Some(_), None) => {
                progress::say(
                    "KUBECONFIG is set and REGISTRY is not: its cluster is left alone, ours is used",
                );
                Ok(None)
            }
            (None, Some(_)) => {
                progress::say("REGISTRY is set and KUBECONFIG is not: our own cluster is used");
                Ok(None)
            }
            (None, None) => Ok(None),
        }
    }

    fn at(kubeconfig: PathBuf, registry: String) -> Result<Self> {
        let clients = clients()?;
        let registry = registry.trim_end_matches('/').to_owned();
        ensure!(
            !registry.contains("://"),
            "REGISTRY={registry}: name it as images do, without https://, such as registry.example.com/team"
        );
        let cluster = Self { clients, kubeconfig, place: Place::Existing { registry } };
        cluster.require_answer()?;
        Ok(cluster)
    }

    fn require_answer(&self) -> Result<()> {
        let mut command = self.kubectl_command();
        let answer = run::output(command.args(["--request-timeout=20s", "get", "--raw=/version"]));
        answer.map(drop).with_context(|| {
            format!(
                "the cluster of KUBECONFIG={} does not answer; name the file of one that does, or unset KUBECONFIG and \
                 REGISTRY to use our own",
                self.kubeconfig.display()
            )
        })
    }
}

/// The folders that hold kubectl and helm: those of this machine, or of a Kubernetes that was built earlier.
fn clients() -> Result<Vec<PathBuf>> {
    let built = Binaries::built()?.map(|binaries| binaries.folder);
    ["kubectl", "helm"].iter().map(|program| client(program, built.as_deref())).collect()
}

fn client(program: &str, built: Option<&Path>) -> Result<PathBuf> {
    let found = packages::find(program, &[]).and_then(|file| file.parent().map(Path::to_owned));
    found.or_else(|| built.map(Path::to_owned)).with_context(|| {
        format!("an existing cluster is used with kubectl and helm, and {program} is not in PATH: install it")
    })
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The program in the first of `folders` that has it.
pub(super) fn command(folders: &[PathBuf], program: &str) -> Command {
    let found = folders.iter().map(|folder| folder.join(program)).find(|file| file.is_file());
    Command::new(found.unwrap_or_else(|| program.into()))
}
