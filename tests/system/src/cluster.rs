//! The operator in a real Kubernetes, installed by Helm, and jobs as manifests.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use testbed::{
    image::{self, Recipe},
    kubernetes::{self, Cluster},
    postgres::{Postgres, PostgresOptions},
    progress,
};

use crate::{process::program, sink::Sink, wait};

/// The namespace and the name of the Helm release.
pub const SYSTEM: &str = "dbmazz-system";
pub const RELEASE: &str = "dbmazz";

/// A cluster with the operator in it.
#[derive(Debug)]
pub struct Platform {
    pub cluster: Cluster,
    pub operator_image: String,
    pub worker_image: String,
}

impl Platform {
    /// Joins or starts the shared cluster and installs the operator of this checkout.
    pub fn start() -> Result<Self> {
        Self::on(Cluster::running_or_start()?)
    }

    /// Installs the operator of this checkout in a cluster.
    pub fn on(cluster: Cluster) -> Result<Self> {
        let operator_image = supply(&cluster, "operator", "operator", "dbmazz-operator")?;
        let worker_image = supply(&cluster, "dbmazz", "worker", "dbmazz")?;
        let platform = Self { cluster, operator_image, worker_image };
        progress::say("installing the operator with Helm");
        platform.install(&[])?;
        Ok(platform)
    }

    /// `helm upgrade --install`, waiting until the operator is ready.
    pub fn install(&self, more: &[&str]) -> Result<()> {
        let chart = chart();
        let operator = format!("image.reference={}", self.operator_image);
        let worker = format!("worker.image={}", self.worker_image);
        let mut arguments = vec!["upgrade", "--install", RELEASE, chart.to_str().context("a path")?];
        arguments.extend(["--namespace", SYSTEM, "--create-namespace", "--set", &operator, "--set", &worker]);
        arguments.extend(["--wait", "--timeout", "180s"]);
        arguments.extend(more);
        let installed = self.cluster.helm(&arguments).map(drop);
        let system = Namespace { cluster: &self.cluster, name: SYSTEM.to_owned() };
        installed.with_context(|| {
            let waiting = system.waiting().unwrap_or_default();
            format!("the operator cannot be installed; its containers wait for: {waiting}")
        })
    }

    /// A fresh namespace for one test, under the restricted Pod Security Standard.
    pub fn namespace(&self, name: &str) -> Result<Namespace<'_>> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        self.cluster.apply(&namespace.to_string())?;
        Ok(Namespace { cluster: &self.cluster, name: name.to_owned() })
    }

    /// A PostgreSQL server that pods can reach.
    pub fn postgres(&self, options: PostgresOptions) -> Result<Postgres> {
        Postgres::start(PostgresOptions {
            listen: kubernetes::ADDRESS.into(),
            network: Some(self.cluster.network()?),
            ..options
        })
    }
}

/// The chart of this checkout.
pub fn chart() -> PathBuf {
    root().join("charts/dbmazz-operator")
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds the image of a program, tagged by its content, and gives it to the cluster; returns its reference.
pub(crate) fn supply(
    cluster: &Cluster,
    image: &str,
    package: &'static str,
    name: &'static str,
) -> Result<String> {
    let binary = program(package, name)?;
    let reference = cluster.reference(image, &tag(&std::fs::read(&binary)?));
    let folder = tempfile::tempdir()?;
    let recipe = Recipe { reference: &reference, binary: &binary, program: name };
    cluster.supply(&image::build(&recipe, folder.path())?)?;
    Ok(reference)
}

pub(crate) fn tag(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// A Kubernetes namespace of one test.
#[derive(Debug)]
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    pub name: String,
}

impl Namespace<'_> {
    /// A Secret with a user's name and password.
    pub fn credentials(&self, name: &str, username: &str, password: &str) -> Result<()> {
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": self.name},
            "stringData": {"username": username, "password": password}});
        self.apply(&secret)
    }

    pub fn apply(&self, manifest: &Json) -> Result<()> {
        self.cluster.apply(&manifest.to_string()).map(drop)
    }

    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", self.name.as_str()];
        all.extend(arguments);
        self.cluster.kubectl(&all)
    }

    pub(crate) fn kubectl_command(&self) -> std::process::Command {
        let mut command = self.cluster.kubectl_command();
        command.args(["--namespace", self.name.as_str()]);
        command
    }

    /// Why containers of this namespace wait, for example for an image that cannot be pulled.
    pub(crate) fn waiting(&self) -> Result<String> {
        let message = "--output=jsonpath={.items[*].status.containerStatuses[*].state.waiting.message}";
        self.kubectl(&["get", "pods", message])
    }

    /// An object as JSON.
    pub fn get(&self, kind: &str, name: &str) -> Result<Json> {
        Ok(serde_json::from_str(&self.kubectl(&["get", kind, name, "--output=json"])?)?)
    }

    /// Objects of a kind with a label.
    pub fn list(&self, kind: &str, selector: &str) -> Result<Vec<Json>> {
        let text = self.kubectl(&["get", kind, "--selector", selector, "--output=json"])?;
        let mut list: Json = serde_json::from_str(&text)?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Changes a job's spec by a merge patch.
    pub fn patch(&self, job: &str, patch: &Json) -> Result<()> {
        let patch = patch.to_string();
        self.kubectl(&["patch", "replicationjob", job, "--type=merge", "--patch", &patch]).map(drop)
    }

    /// Waits until a condition of a job has this status and, if one is given, this reason; returns its message.
    pub async fn until_condition(&self, job: &str, kind: &str, status: &str, reason: &str) -> Result<String> {
        wait::until(&format!("{kind} of {job} is {status} {reason}"), async || {
            let job = self.get("replicationjob", job)?;
            let condition =
                condition(&job, kind).with_context(|| format!("no {kind} in {}", job["status"]))?;
            let fits = condition["status"] == status && (reason.is_empty() || condition["reason"] == reason);
            ensure!(fits, "{condition}");
            Ok(Some(condition["message"].as_str().unwrap_or_default().to_owned()))
        })
        .await
    }

    /// Waits until the object of this name is gone.
    pub async fn until_gone(&self, kind: &str, name: &str) -> Result<()> {
        wait::until(&format!("{kind} {name} is gone"), async || {
            let left = self.kubectl(&["get", kind, name, "--ignore-not-found", "--output=name"])?;
            Ok(left.is_empty().then_some(()))
        })
        .await
    }
}

/// A condition of a job by its type.
pub fn condition<'a>(job: &'a Json, kind: &str) -> Option<&'a Json> {
    job["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// A job's manifest: tables of the PostgreSQL at an address into `database` of the stand-in, credentials in `pg` and `sr`.
pub fn job(
    namespace: &str,
    name: &str,
    (host, port): (&str, u16),
    sink: &Sink,
    database: &str,
    tables: &[&str],
) -> Json {
    json!({
        "apiVersion": "dbmazz.dev/v1alpha1",
        "kind": "ReplicationJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "source": {"postgres": {
                "host": host,
                "port": port,
                "database": "postgres",
                "credentials": {"secretRef": {"name": "pg"}},
                "tls": {"mode": "Disable"},
                "tables": tables,
            }},
            "sink": {"starrocks": {
                "host": sink.host(),
                "httpPort": sink.http_port(),
                "queryPort": sink.query_port(),
                "database": database,
                "credentials": {"secretRef": {"name": "sr"}},
            }},
        },
    })
}
