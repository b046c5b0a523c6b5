//! An existing cluster, for machines that cannot start one.
//!
//! `TESTBED_EXISTING_CLUSTER=1` says that tests may use the cluster of `KUBECONFIG`. Its nodes must be able to pull our
//! images from a registry, and its pods to reach whatever a test starts.

use std::{env, path::PathBuf};

use anyhow::{Context, Result, ensure};

pub(super) fn kubeconfig() -> Result<Option<PathBuf>> {
    if env::var_os("TESTBED_EXISTING_CLUSTER").is_none_or(|value| value != "1") {
        return Ok(None);
    }
    let file = env::var_os("KUBECONFIG").map(PathBuf::from);
    let file = file.context("TESTBED_EXISTING_CLUSTER=1 wants KUBECONFIG to name the cluster's file")?;
    ensure!(file.is_file(), "KUBECONFIG names {}, which is not there", file.display());
    Ok(Some(file))
}
