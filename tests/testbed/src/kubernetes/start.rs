//! Starts a cluster, each part as soon as its dependencies are ready.

use std::{env, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};

use super::{
    Binaries, NODE, control_plane, folder::Folder, identities, namespaces, namespaces::Namespaces, node,
};
use crate::{image, leash::Leash, progress, run};

const LIMIT: Duration = Duration::from_secs(120);
const CONTROL_PLANE: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const NODE_PROGRAMS: [&str; 3] = ["containerd", "kubelet", "kube-proxy"];

/// Starts the cluster. The caller holds the cluster's lock.
pub(super) fn start(folder: &Folder, binaries: &Binaries) -> Result<Leash> {
    // The folder may hold remains of a cluster after a power failure or an interrupted start.
    folder.clean_up()?;
    folder.create()?;
    let leash = folder.tie()?;
    let started = progress::step("starting Kubernetes", || start_all(folder, binaries));
    if let Err(error) = started {
        let logs = keep_logs(folder);
        return Err(error).with_context(|| format!("the cluster did not start; all its logs are in {logs}"));
    }
    Ok(leash)
}

fn start_all(folder: &Folder, binaries: &Binaries) -> Result<()> {
    identities::write(folder)?;
    let namespaces = Namespaces::create(folder, binaries)?;
    control_plane::start_api(&namespaces, folder)?;
    node::start_containerd(&namespaces, folder)?;
    node::await_containerd(&namespaces, folder)?;
    let pause = image::pause(binaries, &folder.path)?;
    node::import(&namespaces, &pause)?;
    await_answer(&namespaces, folder, &["get", "--raw=/readyz"], "ok")?;
    control_plane::start_controllers(&namespaces, folder)?;
    node::start_kubelet(&namespaces, folder)?;
    let ready = r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
    await_answer(&namespaces, folder, &["get", "node", NODE, ready], "True")?;
    await_answer(
        &namespaces,
        folder,
        &["get", "serviceaccount", "default", "--output=name"],
        "serviceaccount/default",
    )?;
    namespaces::check(folder, &NODE_PROGRAMS)?;
    folder.note_started()
}

/// Polls kubectl until it answers as expected.
fn await_answer(namespaces: &Namespaces, folder: &Folder, arguments: &[&str], expected: &str) -> Result<()> {
    let mut last = String::new();
    let outcome = run::wait_until(&arguments.join(" "), LIMIT, || {
        namespaces::check(folder, &CONTROL_PLANE)?;
        namespaces::check(folder, &NODE_PROGRAMS)?;
        let mut command: Command = namespaces.command("kubectl");
        command.arg("--kubeconfig").arg(folder.config("admin.kubeconfig")).args(arguments);
        last = run::output(&mut command).unwrap_or_else(|error| error.to_string());
        Ok(last.trim() == expected)
    });
    outcome.with_context(|| format!("kubectl said last: {}", last.trim()))
}

/// Keeps the logs of a failed start, because the folder is removed with the cluster.
fn keep_logs(folder: &Folder) -> String {
    let kept = env::temp_dir().join(format!("{}-failed", folder.cgroup));
    drop(fs::remove_dir_all(&kept));
    drop(copy_files(&folder.path.join("logs"), &kept));
    kept.display().to_string()
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
