//! The single node: containerd with its network plugin, the kubelet, and kube-proxy.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    ADDRESS, NODE,
    control_plane::flag,
    folder::{Folder, write},
    namespaces::{Namespaces, check},
};
use crate::{packages, run};

/// The image of the first container of every pod.
pub(crate) const PAUSE: &str = "dbmazz.dev/pause:testbed";

/// The address of the cluster's DNS service. No DNS runs yet, so hosts are named by address.
const NAME_SERVICE: &str = "10.96.0.10";

const NEEDED: [(&str, &str); 7] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
];

/// Installs the missing programs that a node needs from the distribution.
pub(super) fn install() -> Result<()> {
    let missing = NEEDED.iter().filter(|(program, _)| packages::find(program, &[]).is_none());
    let mut missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if plugins().is_none() {
        missing.push("containernetworking-plugins");
    }
    missing.dedup();
    if missing.is_empty() { Ok(()) } else { packages::install(&missing) }
}

pub(super) fn start_containerd(namespaces: &Namespaces, folder: &Folder) -> Result<()> {
    std::fs::create_dir_all(folder.config("network"))?;
    write(&folder.config("network/10-testbed.conflist"), network().to_string())?;
    let config = folder.config("containerd.toml");
    write(&config, containerd(&folder.config("network")))?;
    namespaces.daemon(folder, "containerd", &["--config".into(), config.display().to_string()])
}

pub(super) fn await_containerd(namespaces: &Namespaces, folder: &Folder) -> Result<()> {
    run::wait_until("containerd answers", Duration::from_secs(60), || {
        check(folder, &["containerd"])?;
        Ok(run::output(namespaces.command("ctr").arg("version")).is_ok())
    })
}

pub(super) fn start_kubelet(namespaces: &Namespaces, folder: &Folder) -> Result<()> {
    write(&folder.config("resolv.conf"), "")?;
    write(&folder.config("kubelet.json"), kubelet(folder).to_string())?;
    let kubeconfig = |program: &str| folder.config(&format!("{program}.kubeconfig"));
    let arguments = [
        flag("config", folder.config("kubelet.json").display()),
        flag("kubeconfig", kubeconfig("kubelet").display()),
        flag("hostname-override", NODE),
        flag("node-ip", ADDRESS),
    ];
    namespaces.daemon(folder, "kubelet", &arguments)?;
    let arguments = [
        flag("kubeconfig", kubeconfig("kube-proxy").display()),
        flag("hostname-override", NODE),
        flag("proxy-mode", "nftables"),
        // These settings would apply to the whole machine.
        flag("conntrack-max-per-core", 0),
    ];
    namespaces.daemon(folder, "kube-proxy", &arguments)
}

fn containerd(network: &Path) -> String {
    let plugins = plugins().unwrap_or("/usr/lib/cni");
    let network = network.display();
    // restrict_oom_score_adj: otherwise no pod starts on machines where root may not lower the score.
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{network}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
"#
    )
}

/// Each pod has a point-to-point link to the node, which routes. So a pod also reaches another one by the address of
/// its Service; on a shared bridge that needs a kernel module that is not available everywhere.
fn network() -> serde_json::Value {
    let range = json!({"subnet": "10.88.0.0/16", "rangeStart": "10.88.1.1", "rangeEnd": "10.88.250.250", "gateway": ADDRESS});
    json!({
        "cniVersion": "0.4.0", "name": "testbed",
        "plugins": [{
            "type": "ptp", "ipMasq": false,
            "ipam": {"type": "host-local", "ranges": [[range]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/cni"},
        }, {"type": "portmap", "capabilities": {"portMappings": true}}],
    })
}

fn kubelet(folder: &Folder) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": folder.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": folder.pki("kubelet-server.crt"),
        "tlsPrivateKeyFile": folder.pki("kubelet-server.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", folder.cgroup),
        "failCgroupV1": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "clusterDNS": [NAME_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": folder.config("resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        // Tests kill workers often: a crashed container restarts within two seconds, every time.
        "featureGates": {"ReduceDefaultCrashLoopBackOffDecay": true},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        // The disk belongs to this machine and not to the node, so neither images nor pods are removed when it fills
        // up.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 1000,
        "registerWithTaints": [],
    })
}

fn plugins() -> Option<&'static str> {
    ["/usr/lib/cni", "/opt/cni/bin"].into_iter().find(|folder| Path::new(folder).join("ptp").exists())
}

/// Imports the archive inside the mount namespace, which has containerd's mounts.
pub(super) fn import(namespaces: &Namespaces, archive: &Path) -> Result<()> {
    let file = std::fs::File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    // The archive is passed by standard input, because its folder may look different inside.
    let mut command = namespaces.command("ctr");
    command.args(["--namespace=k8s.io", "images", "import", "-"]);
    run::output_with_file(&mut command, file)
        .map(drop)
        .with_context(|| format!("cannot import {}", archive.display()))
}
