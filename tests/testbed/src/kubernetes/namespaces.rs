//! The namespaces of a cluster: its own network, mounts and processes.
//!
//! ```text
//! outside                        inside
//! unshare ──kill-child──►  init (sh: mounts, the address, then reaps for ever)
//! nsenter …                etcd, kube-apiserver, …, containerd, its shims, every container
//! ```
//!
//! When the first process inside ends, the kernel ends every other one, and mounts and interfaces are removed with
//! them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use super::{ADDRESS, binary::Binaries, cgroup, folder::Folder};
use crate::run;

/// Runs as the first process inside; `$1` is the cluster's folder.
///
/// `/run` and `/var/lib` are new and in memory, so that files of the node never mix with those of this machine. The
/// kubelet requires some kernel settings that are not per namespace; it is given files that already have the required
/// values, and so does not change the settings of the machine.
const INIT: &str = r#"
set -e
folder=$1
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -p /run/lock /run/settings /var/lib/kubelet
mount --bind "$folder/logs" /var/log
setting() {
  [ -e "/proc/sys/$1" ] || return 0
  file=/run/settings/$(echo "$1" | tr / .)
  echo "$2" >"$file"
  mount --bind "$file" "/proc/sys/$1"
}
setting vm/overcommit_memory 1
setting vm/panic_on_oom 0
setting kernel/panic 10
setting kernel/panic_on_oops 1
setting kernel/keys/root_maxkeys 1000000
setting kernel/keys/root_maxbytes 25000000
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
ip address add ADDRESS/32 dev lo
touch "$folder/ready"
while :; do sleep 1000000 & wait $!; done
"#;

/// Runs outside and becomes `unshare` by `exec`, so that the process id of `unshare` is known.
const OUTER: &str = r#"
echo $$ >"$1/outer.new"
mv "$1/outer.new" "$1/outer"
exec unshare --net --mount --pid --fork --kill-child --mount-proc sh -c "$2" init "$1"
"#;

#[derive(Debug, Clone)]
pub(super) struct Namespaces {
    pub(super) init: u32,
    programs: PathBuf,
}

impl Namespaces {
    pub(super) fn create(folder: &Folder, binaries: &Binaries) -> Result<Self> {
        cgroup::create(&folder.cgroup)?;
        let log = folder.log("init");
        let init = INIT.replace("ADDRESS", &ADDRESS.to_string());
        let mut command = Command::new("setsid");
        command.args(["--fork", "sh", "-c", OUTER, "outer"]).arg(&folder.path).arg(init).current_dir("/");
        run::into_log(&mut command, &log)?.status().context("cannot run setsid: install util-linux")?;
        run::wait_until("the cluster's namespaces are there", Duration::from_secs(20), || {
            let outer = fs::read_to_string(folder.path.join("outer")).unwrap_or_else(|_| "self".into());
            ensure!(
                Path::new("/proc").join(outer.trim()).exists(),
                "the namespaces could not be made; {}",
                run::excerpt(&log)
            );
            Ok(folder.path.join("ready").exists())
        })?;
        note_init(folder)?;
        Self::of(folder, binaries).context("the cluster's first process has ended")
    }

    pub(super) fn of(folder: &Folder, binaries: &Binaries) -> Option<Self> {
        folder.init().map(|init| Self { init, programs: binaries.folder.clone() })
    }

    /// A program that runs inside all namespaces: network, mounts and processes. A signal to our child process does not
    /// reach the program, so this is for programs that end by themselves.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([format!("--target={}", self.init)]).args(["--net", "--mount", "--pid", "--", program]);
        command.env("PATH", path(&self.programs)).current_dir("/");
        command
    }

    /// Starts a long-running program that belongs to the namespaces and not to this process. The last line of its log
    /// says how it ended.
    pub(super) fn daemon(&self, folder: &Folder, program: &str, arguments: &[String]) -> Result<()> {
        const RUN: &str = r#""$@"; echo "$1 ended with status $?" | tee "$0""#;
        let mut command = self.command("setsid");
        command.args(["--fork", "sh", "-c", RUN]).arg(ended(folder, program)).arg(program).args(arguments);
        let status = run::into_log(&mut command, &folder.log(program))?.stdin(Stdio::null()).status()?;
        ensure!(status.success(), "cannot start {program}: nsenter said {status}");
        Ok(())
    }
}

/// Fails when one of these long-running programs has ended.
pub(super) fn check(folder: &Folder, programs: &[&str]) -> Result<()> {
    for program in programs {
        if ended(folder, program).exists() {
            bail!("{program} has ended; {}", run::excerpt(&folder.log(program)));
        }
    }
    Ok(())
}

/// A search path that begins with the cluster's programs and ends with the administrator's folders.
pub(super) fn path(programs: &Path) -> String {
    let ours = std::env::var("PATH").unwrap_or_default();
    format!("{}:{ours}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", programs.display())
}

fn ended(folder: &Folder, program: &str) -> PathBuf {
    folder.path.join(format!("ended-{program}"))
}

fn note_init(folder: &Folder) -> Result<()> {
    let outer = folder.process("outer").context("the process around the cluster has ended")?;
    let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?;
    let init = children.split_whitespace().next().context("the process around the cluster has no child")?;
    super::folder::write(&folder.path.join("init"), init)
}
