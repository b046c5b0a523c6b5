//! The demo as a guest in an existing cluster: it touches nothing that it did not make, and removes what it made.

use anyhow::{Result, ensure};
use system::cluster::{RELEASE, SYSTEM};
use testbed::{kubernetes::Cluster, progress};

use crate::stage::{JOB, NAMESPACE};

const CRD: &str = "replicationjobs.dbmazz.dev";
/// The label of a namespace that the demo made.
const MARK: &str = "dbmazz.dev/made-by-demo";

/// Claims the cluster, or refuses because it has an operator or a namespace of somebody else.
pub(crate) fn enter(cluster: &Cluster) -> Result<()> {
    if is_ours(cluster)? {
        progress::say("removing what an earlier demo left in this cluster");
        leave(cluster)?;
    }
    for (kind, name) in [("namespace", NAMESPACE), ("namespace", SYSTEM), ("customresourcedefinition", CRD)] {
        let found = cluster.kubectl(&["get", kind, name, "--ignore-not-found", "--output=name"])?;
        ensure!(
            found.is_empty(),
            "this cluster has {kind} {name} already, and the demo would change it: use another cluster, or remove it"
        );
    }
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    cluster.kubectl(&["label", "namespace", NAMESPACE, &format!("{MARK}=true")])?;
    Ok(())
}

fn is_ours(cluster: &Cluster) -> Result<bool> {
    let selector = format!("--selector={MARK}=true");
    Ok(!cluster.kubectl(&["get", "namespaces", &selector, "--output=name"])?.is_empty())
}

/// Removes the operator and the namespaces. A job that the operator can no longer clean up is let go, because its
/// source goes too.
pub(crate) fn leave(cluster: &Cluster) -> Result<()> {
    let crd =
        cluster.kubectl(&["get", "customresourcedefinition", CRD, "--ignore-not-found", "--output=name"])?;
    if !crd.is_empty() {
        remove_job(cluster)?;
        let jobs = cluster.kubectl(&["get", "replicationjobs", "--all-namespaces", "--output=name"])?;
        ensure!(
            jobs.is_empty(),
            "somebody else has jobs in this cluster, so the operator stays: {}",
            jobs.trim()
        );
    }
    cluster.helm(&["uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found", "--wait"])?;
    for (kind, name) in [("customresourcedefinition", CRD), ("namespace", SYSTEM), ("namespace", NAMESPACE)] {
        cluster.kubectl(&["delete", kind, name, "--ignore-not-found", "--timeout=120s"])?;
    }
    Ok(())
}

fn remove_job(cluster: &Cluster) -> Result<()> {
    let delete =
        ["--namespace", NAMESPACE, "delete", "replicationjob", JOB, "--ignore-not-found", "--timeout=60s"];
    if cluster.kubectl(&delete).is_ok() {
        return Ok(());
    }
    let free = r#"{"metadata":{"finalizers":null}}"#;
    cluster.kubectl(&[
        "--namespace",
        NAMESPACE,
        "patch",
        "replicationjob",
        JOB,
        "--type=merge",
        "--patch",
        free,
    ])?;
    cluster.kubectl(&delete).map(drop)
}
