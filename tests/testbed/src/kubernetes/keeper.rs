//! A cluster that stays up between commands: a background process uses it and forwards the port of its API server.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{Cluster, Folder, api_address, folder, identities};
use crate::{forward::Forwarder, network::NetworkNamespace, run};

/// The port of the API server outside, when it is free.
const PREFERRED_PORT: u16 = 16443;

/// Starts the cluster unless it runs, and a process that keeps it up. Returns the kubeconfig for people. The calling
/// program must be `testbed`, because it is started once more as the keeper.
pub fn up(name: &str) -> Result<PathBuf> {
    let cluster = Cluster::named(name)?;
    let folder = &cluster.own().context("an existing cluster is neither started nor ended here")?.folder;
    let kubeconfig = folder.path.join("kubeconfig");
    if folder.process("keeper").is_some() {
        return Ok(kubeconfig);
    }
    let mut keeper = Command::new("setsid");
    keeper.arg("--fork").arg(env::current_exe()?).args(["cluster-keep", name]).current_dir("/");
    let log = folder.log("keeper");
    keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    keeper.status().context("cannot run setsid: install util-linux")?;
    run::wait_until("the cluster's keeper is there", Duration::from_secs(20), || {
        Ok(folder.process("keeper").is_some())
    })
    .with_context(|| run::excerpt(&log))?;
    Ok(kubeconfig)
}

/// The main function of the keeper: one more user of the cluster, until the cluster has ended.
pub fn keep(name: &str) -> Result<()> {
    let cluster = Cluster::running(name)?;
    let own = cluster.own()?;
    let network = NetworkNamespace::of_process(own.namespaces.init);
    let forwarder = Forwarder::start(network, PREFERRED_PORT, api_address());
    let forwarder = forwarder.or_else(|_| Forwarder::start(network, 0, api_address()))?;
    identities::admin_kubeconfig(&own.folder, &own.folder.path.join("kubeconfig"), forwarder.address())?;
    folder::write(&own.folder.path.join("keeper"), std::process::id().to_string())?;
    while own.folder.init().is_some() {
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Ends the cluster, even while others use it, and waits until it is removed completely.
pub fn down(name: &str) -> Result<bool> {
    let folder = Folder::of(name)?;
    let Some(init) = folder.init() else { return Ok(false) };
    let pid = i32::try_from(init).ok().and_then(Pid::from_raw).context("a process id is positive")?;
    kill_process(pid, Signal::KILL)
        .with_context(|| format!("cannot end the cluster's first process {init}: run as root"))?;
    run::wait_until("the last user of the cluster lets go", Duration::from_secs(60), || {
        Ok(!folder.path.exists())
    })
    .with_context(|| {
        format!("the cluster has ended, but somebody still holds {}", folder.leash().display())
    })?;
    Ok(true)
}

/// The shared and private clusters of this user that are running, with their kubeconfigs for people.
pub fn status() -> Result<Vec<(String, Option<PathBuf>)>> {
    let mut running = Vec::new();
    let Ok(entries) = fs::read_dir(folder::clusters()?) else { return Ok(running) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if Folder::of(&name).is_ok_and(|folder| folder.init().is_some()) {
            let kubeconfig = entry.path().join("kubeconfig");
            running.push((name, kubeconfig.exists().then_some(kubeconfig)));
        }
    }
    Ok(running)
}

/// Forwards a port of 127.0.0.1 to an address inside until the cluster has ended.
pub fn forward(
    name: &str,
    port: u16,
    inside: SocketAddr,
    announce: impl FnOnce(SocketAddr) -> Result<()>,
) -> Result<()> {
    let cluster = Cluster::running(name)?;
    let forwarder = Forwarder::start(cluster.network()?, port, inside)?;
    announce(forwarder.address())?;
    let folder = &cluster.own()?.folder;
    while folder.init().is_some() {
        thread::sleep(Duration::from_millis(200));
    }
    bail!("the cluster has ended")
}
