//! The files of a cluster on disk, and their removal.
//!
//! ```text
//! ~/.cache/dbmazz/clusters/NAME/
//!   leash        locked by every process that uses the cluster
//!   identity     tells this cluster from earlier ones of the same name
//!   started      exists when the cluster is complete
//!   outer init   process ids: of the `unshare` outside, of the first process inside
//!   keeper       the process that keeps a cluster up after `cluster-up`
//!   kubeconfig*  for people outside (127.0.0.1), for programs inside (10.88.0.1), for each component
//!   pki/ config/ logs/   logs/pods has the containers' output, logs/audit.log the API server's requests
//! ```

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result};

use super::binary::cache;
use crate::leash::Leash;

/// Ends the cluster (`$1` its folder, `$2` its control group) by ending its first process, and removes its traces. A
/// guard passes the identity of its cluster as `$3`, because another cluster may use the folder by now. Mounts,
/// interfaces and processes are in the namespaces and end with them; control groups are not.
const CLEAN_UP: &str = r#"
[ -z "$3" ] || [ "$(cat "$1/identity" 2>/dev/null)" = "$3" ] || exit 0
ours=""
for name in init outer; do
  pid=$(cat "$1/$name" 2>/dev/null) || continue
  # A process id of before a reboot may belong to somebody else by now.
  if grep -q "$1" "/proc/$pid/cmdline" 2>/dev/null; then ours="$ours $pid"; kill -KILL "$pid"; fi
done
for pid in $ours; do wait_gone "$pid"; done
for attempt in $(seq 50); do
  left=$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$2" 2>/dev/null)
  [ -n "$left" ] || break
  for group in $left; do find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null; done
  sleep 0.05
done
# Away under its own name first: somebody may be waiting to start a cluster of this name.
mv "$1" "$1.ended.$$" 2>/dev/null && rm -rf "$1.ended.$$"
true
"#;

#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) cgroup: String,
}

impl Folder {
    pub(super) fn of(name: &str) -> Result<Self> {
        anyhow::ensure!(is_plain(name), "cluster name {name:?}: use small letters, digits and dashes");
        let path = cache()?.join("clusters").join(name);
        Ok(Self { path, cgroup: format!("dbmazz-testbed-{name}") })
    }

    /// The lock of the process that is starting this cluster or checking whether it runs.
    pub(super) fn lock(&self) -> Result<File> {
        let file = self.path.with_extension("lock");
        fs::create_dir_all(file.parent().context("a cluster's folder has a parent")?)?;
        let lock = File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
        lock.lock()?;
        Ok(lock)
    }

    pub(super) fn create(&self) -> Result<()> {
        for part in ["", "pki", "config", "logs"] {
            fs::create_dir_all(self.path.join(part))?;
        }
        Ok(())
    }

    /// Creates the leash of a new cluster.
    pub(super) fn tie(&self) -> Result<Leash> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let identity = format!("{}-{}", std::process::id(), now.as_nanos());
        write(&self.path.join("identity"), &identity)?;
        Leash::tie(&self.leash(), CLEAN_UP, &[&self.path.to_string_lossy(), &self.cgroup, &identity])
    }

    /// Joins the users of the cluster, if it runs. Waits while a cluster of this name is being removed.
    pub(super) fn hold(&self) -> Result<Option<Leash>> {
        let held = Leash::hold(&self.leash())?;
        Ok(held.filter(|_| self.is_started() && self.init().is_some()))
    }

    /// Removes the remains of a cluster that was killed together with its guard, or during its start.
    pub(super) fn clean_up(&self) -> Result<()> {
        let _seized = Leash::seize(&self.leash())?;
        Leash::clean_up(CLEAN_UP, &[&self.path.to_string_lossy(), &self.cgroup, ""])
    }

    /// Marks the cluster as complete, so that other processes may join it.
    pub(super) fn note_started(&self) -> Result<()> {
        write(&self.path.join("started"), "")
    }

    fn is_started(&self) -> bool {
        self.path.join("started").exists()
    }

    pub(super) fn leash(&self) -> PathBuf {
        self.path.join("leash")
    }

    pub(super) fn config(&self, name: &str) -> PathBuf {
        self.path.join("config").join(name)
    }

    pub(super) fn pki(&self, name: &str) -> PathBuf {
        self.path.join("pki").join(name)
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }

    /// The first process of the cluster, if it is alive.
    pub(super) fn init(&self) -> Option<u32> {
        self.process("init")
    }

    /// The process recorded under `name`, if it is alive and still the recorded one.
    pub(super) fn process(&self, name: &str) -> Option<u32> {
        let pid = fs::read_to_string(self.path.join(name)).ok()?.trim().parse().ok()?;
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        command.contains(self.mark(name)).then_some(pid)
    }

    /// A text that the command line of a recorded process must contain.
    fn mark(&self, name: &str) -> &str {
        if name == "keeper" { "cluster-keep" } else { self.path.to_str().unwrap_or_default() }
    }
}

/// The folder of this user's clusters.
pub fn clusters() -> Result<PathBuf> {
    Ok(cache()?.join("clusters"))
}

pub(super) fn write(file: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 40 && name.chars().all(plain)
}
