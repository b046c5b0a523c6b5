//! The control group that all pods live under, for cgroup v1 (one tree per controller) and v2 (one tree).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

const ROOT: &str = "/sys/fs/cgroup";
const V2_CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];

/// Creates the group. The kubelet creates everything below it and requires that it exists.
pub(super) fn create(name: &str) -> Result<()> {
    ensure!(Path::new(ROOT).is_dir(), "{ROOT} is missing: Kubernetes needs control groups");
    if Path::new(ROOT).join("cgroup.controllers").exists() {
        hand_down_controllers(Path::new(ROOT))?;
        return make(&Path::new(ROOT).join(name));
    }
    for controller in v1_controllers()? {
        let group = controller.join(name);
        make(&group)?;
        // A new cpuset is empty; no process can run in it until processors and memory are assigned.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if controller.join(file).exists() {
                fs::write(group.join(file), fs::read(controller.join(file))?)?;
            }
        }
    }
    Ok(())
}

fn v1_controllers() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(ROOT)? {
        let entry = entry?;
        // Links such as cpu,cpuacct lead to trees that are listed separately; `unified` is v2 beside v1.
        if entry.file_type()?.is_dir() && entry.path().join("tasks").exists() {
            found.push(entry.path());
        }
    }
    ensure!(
        !found.is_empty(),
        "no controller is mounted under {ROOT}: mount cgroup v1 controllers or cgroup v2"
    );
    Ok(found)
}

/// Enables the controllers for groups below `root`. In a container the root group has its own processes, and a group
/// with processes cannot enable controllers for its children: they are first moved to a sibling group, as other nodes
/// in containers do.
fn hand_down_controllers(root: &Path) -> Result<()> {
    let given = fs::read_to_string(root.join("cgroup.controllers"))?;
    let wanted: Vec<_> =
        V2_CONTROLLERS.iter().filter(|name| given.split_whitespace().any(|word| word == **name)).collect();
    let hand_down = || {
        wanted.iter().try_for_each(|name| fs::write(root.join("cgroup.subtree_control"), format!("+{name}")))
    };
    if hand_down().is_ok() {
        return Ok(());
    }
    make(&root.join("init"))?;
    for pid in fs::read_to_string(root.join("cgroup.procs"))?.lines() {
        // A process may have ended since it was listed.
        drop(fs::write(root.join("init/cgroup.procs"), pid));
    }
    hand_down().context(
        "cannot hand control groups down: this container needs its own cgroup namespace and write access",
    )
}

fn make(group: &Path) -> Result<()> {
    fs::create_dir_all(group).with_context(|| format!("cannot make the control group {}", group.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_controllers_that_were_given_are_handed_down() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpuset cpu rdma").unwrap();
        hand_down_controllers(root.path()).unwrap();
        // The kernel accumulates separate writes; a plain file holds only the last one.
        assert_eq!(fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap(), "+cpuset");
    }
}
