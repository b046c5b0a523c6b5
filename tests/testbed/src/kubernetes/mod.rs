//! A complete Kubernetes cluster of one node on this machine: etcd, API server, controllers, scheduler, proxy, kubelet,
//! containerd and runc, in their own namespaces. Pods are containers, Services are routed, permissions are enforced.
//!
//! Programs that pods need to reach (PostgreSQL, the StarRocks stand-in) run in the cluster's network at [`ADDRESS`]:
//! [`Cluster::command`] starts one there, [`Cluster::network`] makes sockets there. From outside, [`Cluster::forward`]
//! gives a port of 127.0.0.1 that leads into it.
//!
//! One cluster serves many processes ([`Cluster::running_or_start`]): it ends when the last of them has ended.
//! `testbed cluster-up` starts one that holds it until `testbed cluster-down`.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{forward::Forwarder, image::Image, leash::Leash, network::NetworkNamespace, packages, run};

mod audit;
mod binary;
mod cgroup;
mod control_plane;
mod existing;
mod folder;
mod identities;
mod keeper;
mod namespaces;
mod node;
mod start;

pub use audit::{AuditEntry, ObjectRef, ResponseStatus, User};
pub(crate) use binary::cache;
pub use binary::{Binaries, VERSION};
pub use keeper::{down, forward, keep, status, up};
pub(crate) use node::PAUSE;

use folder::Folder;
pub use folder::clusters;
use namespaces::Namespaces;

/// The address of this machine inside the cluster's network, and of the API server.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
pub const API_PORT: u16 = 6443;
pub const NODE: &str = "testbed";
/// The cluster that `running_or_start` and `testbed cluster-up` share.
pub const DEFAULT: &str = "default";

fn api_address() -> SocketAddr {
    (ADDRESS, API_PORT).into()
}

/// A running cluster that this process uses.
#[derive(Debug)]
pub struct Cluster {
    /// The folders of kubectl and helm.
    clients: Vec<PathBuf>,
    kubeconfig: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Own(Own),
    /// Of an existing cluster only the kubeconfig is known, and the registry that its nodes pull from.
    Existing {
        registry: String,
    },
}

/// The parts of a cluster that runs on this machine.
#[derive(Debug)]
struct Own {
    binaries: Binaries,
    folder: Folder,
    namespaces: Namespaces,
    api: Forwarder,
    private: bool,
    leash: Option<Leash>,
}

impl Cluster {
    /// The default shared cluster, started if it does not run.
    pub fn running_or_start() -> Result<Self> {
        Self::named(DEFAULT)
    }

    /// The shared cluster of this name, started if it does not run.
    pub fn named(name: &str) -> Result<Self> {
        Self::join_or_start(name, false)
    }

    /// A cluster for this process alone, which ends with the process.
    pub fn start_private() -> Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        Self::join_or_start(&format!("private-{}-{number}", std::process::id()), true)
    }

    /// The shared cluster of this name if it runs; it is not started.
    pub fn running(name: &str) -> Result<Self> {
        let folder = Folder::of(name)?;
        let _lock = folder.lock()?;
        let leash = folder
            .hold()?
            .with_context(|| format!("cluster {name} is not running: testbed cluster-up starts it"))?;
        Self::of(folder, Binaries::find_or_build()?, leash, false)
    }

    fn join_or_start(name: &str, private: bool) -> Result<Self> {
        require_machine()?;
        node::install()?;
        let binaries = Binaries::find_or_build()?;
        let folder = Folder::of(name)?;
        // The name of a private cluster is not known to other processes.
        let _lock = if private { None } else { Some(folder.lock()?) };
        let leash = match folder.hold()? {
            Some(leash) => leash,
            None => start::start(&folder, &binaries)?,
        };
        Self::of(folder, binaries, leash, private)
    }

    fn of(folder: Folder, binaries: Binaries, leash: Leash, private: bool) -> Result<Self> {
        let namespaces = Namespaces::of(&folder, &binaries).context("the cluster has just ended")?;
        let api = Forwarder::start(NetworkNamespace::of_process(namespaces.init), 0, api_address())?;
        let kubeconfig = folder.path.join(format!("kubeconfig-{}-{}", std::process::id(), api.port()));
        identities::admin_kubeconfig(&folder, &kubeconfig, api.address())?;
        let clients = vec![binaries.folder.clone()];
        let own = Own { binaries, folder, namespaces, api, private, leash: Some(leash) };
        Ok(Self { clients, kubeconfig, place: Place::Own(own) })
    }

    /// The administrator's kubeconfig for programs outside the cluster's network.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The administrator's kubeconfig for programs inside the cluster's network.
    pub fn kubeconfig_inside(&self) -> Result<PathBuf> {
        Ok(self.own()?.folder.config("admin.kubeconfig"))
    }

    /// The port of 127.0.0.1 that leads to the API server while this value lives.
    pub fn api_port(&self) -> Result<u16> {
        Ok(self.own()?.api.port())
    }

    /// Runs kubectl to its end and returns its output.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        run::output(self.kubectl_command().args(arguments))
    }

    pub fn kubectl_command(&self) -> Command {
        self.client("kubectl")
    }

    /// Runs Helm to its end and returns its output.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        run::output(self.helm_command().args(arguments))
    }

    pub fn helm_command(&self) -> Command {
        self.client("helm")
    }

    /// Applies manifests given as text.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        run::output_with_input(self.kubectl_command().args(["apply", "--filename=-"]), manifests)
    }

    /// The cluster's network, to make sockets in and to start PostgreSQL in.
    pub fn network(&self) -> Result<NetworkNamespace> {
        Ok(NetworkNamespace::of_process(self.own()?.namespaces.init))
    }

    /// A program in the cluster's network, with kubectl and helm in its `PATH`; otherwise an ordinary child process.
    pub fn command(&self, program: &str) -> Result<Command> {
        let mut command = self.network()?.command(program);
        command
            .env("PATH", namespaces::path(&self.own()?.binaries.folder))
            .env("KUBECONFIG", self.kubeconfig_inside()?);
        Ok(command)
    }

    /// A program on the node itself, in its network, mount and process namespaces, as `ctr`, `nft` and `ps` need it.
    pub fn node_command(&self, program: &str) -> Result<Command> {
        Ok(self.own()?.namespaces.command(program))
    }

    /// A port of 127.0.0.1 that leads to an address inside.
    pub fn forward(&self, inside: SocketAddr) -> Result<Forwarder> {
        Forwarder::start(self.network()?, 0, inside)
    }

    /// Imports the images of an archive into the node; pods use them with `imagePullPolicy: IfNotPresent`.
    pub fn import(&self, archive: &Path) -> Result<()> {
        node::import(&self.own()?.namespaces, archive)
    }

    /// The reference under which the cluster's nodes find an image of ours.
    pub fn reference(&self, name: &str, tag: &str) -> String {
        match &self.place {
            Place::Own(_) => format!("dbmazz.dev/{name}:{tag}"),
            Place::Existing { registry } => format!("{registry}/{name}:{tag}"),
        }
    }

    /// Gives an image to the cluster's nodes: by import, or by the registry.
    pub fn supply(&self, image: &Image) -> Result<()> {
        match &self.place {
            Place::Own(own) => node::import(&own.namespaces, &image.archive),
            Place::Existing { .. } => image.push(),
        }
    }

    /// Whether the cluster runs on this machine, with a network that programs of this machine can enter.
    pub fn is_own(&self) -> bool {
        matches!(self.place, Place::Own(_))
    }

    /// Every request to the API server except those of the cluster's own components, oldest first.
    pub fn audit(&self) -> Result<Vec<AuditEntry>> {
        audit::read(&self.logs()?.join("audit.log"))
    }

    /// The folder of the logs: one file per component, `audit.log`, and `pods/` with the containers' output.
    pub fn logs(&self) -> Result<PathBuf> {
        Ok(self.own()?.folder.path.join("logs"))
    }

    fn own(&self) -> Result<&Own> {
        match &self.place {
            Place::Own(own) => Ok(own),
            Place::Existing { .. } => bail!("this works only in the test bed's own cluster: unset REGISTRY"),
        }
    }

    fn client(&self, program: &str) -> Command {
        let mut command = existing::command(&self.clients, program);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Place::Own(own) = &mut self.place else { return };
        drop(fs::remove_file(&self.kubeconfig));
        let Some(leash) = own.leash.take() else { return };
        // A shared cluster ends after its last user, so this process does not wait for the end.
        if own.private
            && let Err(error) = leash.release(own.folder.path.clone())
        {
            crate::progress::say(format!("{} is left behind: {error:#}", own.folder.path.display()));
        }
    }
}

fn require_machine() -> Result<()> {
    let other = "or, for the demo, name a cluster that you have: KUBECONFIG=… REGISTRY=…";
    ensure!(cfg!(target_os = "linux"), "a test cluster needs Linux: use a Linux machine, {other}");
    ensure!(
        packages::is_root(),
        "a test cluster needs root, for its namespaces: run as root (sudo -E), {other}"
    );
    if env::var_os("PATH").is_none() {
        bail!("PATH is not set");
    }
    Ok(())
}

/// An address inside the cluster's network that pods can reach.
pub fn address(port: u16) -> SocketAddr {
    (IpAddr::from(ADDRESS), port).into()
}
