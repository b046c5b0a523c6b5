//! A cluster that has ended has left nothing: no process, mount, interface, control group or folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use testbed::{kubernetes::Cluster, run};

use crate::pod::LIMIT;

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: idle}
spec: {containers: [{name: main, image: 'dbmazz.dev/pause:testbed'}]}
";

#[test]
fn a_killed_owner_leaves_nothing_of_its_private_cluster() {
    let mut owner = crate::owner::spawn(&["cluster"]);
    let kubeconfig = PathBuf::from(owner.said("kubeconfig"));
    let folder = kubeconfig.parent().unwrap().to_owned();
    let kubectl = |arguments: &[&str]| {
        let mut command = std::process::Command::new(owner_kubectl());
        run::output(command.env("KUBECONFIG", &kubeconfig).args(arguments))
    };
    let manifest = tempfile::NamedTempFile::new().unwrap();
    fs::write(&manifest, POD).unwrap();
    kubectl(&["apply", "--filename", manifest.path().to_str().unwrap()]).unwrap();
    kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", "pod/idle"]).unwrap();
    let network = network_of(&folder);
    assert!(!processes_in(&network).is_empty());

    owner.kill();
    await_nothing_left(&folder, &network);
}

#[test]
fn a_shared_cluster_ends_with_its_last_user() {
    let name = format!("shared-{}", std::process::id());
    let first = Cluster::named(&name).unwrap();
    let second = Cluster::named(&name).unwrap();
    let folder = first.kubeconfig().parent().unwrap().to_owned();
    let network = network_of(&folder);
    drop(first);
    assert_eq!(second.kubectl(&["get", "--raw=/readyz"]).unwrap(), "ok");

    drop(second);
    await_nothing_left(&folder, &network);
    fs::remove_file(folder.with_extension("lock")).unwrap();
}

#[test]
fn a_start_that_was_killed_halfway_is_no_obstacle_to_the_next() {
    let name = format!("halfway-{}", std::process::id());
    let mut owner = crate::owner::spawn(&["cluster-up", "--name", &name]);
    let folder = testbed::kubernetes::clusters().unwrap().join(&name);
    run::wait_until("the start is under way", LIMIT, || Ok(folder.join("init").exists())).unwrap();
    owner.kill();

    let cluster = Cluster::named(&name).unwrap();
    assert_eq!(cluster.kubectl(&["get", "--raw=/readyz"]).unwrap(), "ok");
    let network = network_of(&folder);
    drop(cluster);
    await_nothing_left(&folder, &network);
    fs::remove_file(folder.with_extension("lock")).unwrap();
}

fn await_nothing_left(folder: &Path, network: &str) {
    run::wait_until("the cluster's folder is gone", LIMIT, || Ok(!folder.exists())).unwrap();
    assert_eq!(processes_in(network), Vec::<String>::new());
    let name = folder.file_name().unwrap().to_str().unwrap();
    assert_eq!(control_groups(name), Vec::<PathBuf>::new());
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(name));
}

/// Which network namespace the cluster has; its interfaces live and die with it.
fn network_of(folder: &Path) -> String {
    let init = fs::read_to_string(folder.join("init")).unwrap();
    let namespace = fs::read_link(format!("/proc/{}/ns/net", init.trim())).unwrap();
    assert_ne!(namespace, fs::read_link("/proc/self/ns/net").unwrap());
    namespace.to_str().unwrap().to_owned()
}

fn processes_in(network: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let inside = processes
        .filter(|path| fs::read_link(path.join("ns/net")).is_ok_and(|link| link == Path::new(network)));
    inside.map(|path| fs::read_to_string(path.join("cmdline")).unwrap_or_default()).collect()
}

fn control_groups(name: &str) -> Vec<PathBuf> {
    let group = format!("dbmazz-testbed-{name}");
    let trees = fs::read_dir("/sys/fs/cgroup").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let trees = trees.chain([PathBuf::from("/sys/fs/cgroup")]);
    trees.map(|tree| tree.join(&group)).filter(|path| path.exists()).collect()
}

fn owner_kubectl() -> PathBuf {
    testbed::kubernetes::Binaries::find_or_build().unwrap().program("kubectl")
}
