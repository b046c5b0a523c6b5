//! Programs of the distribution: installed with apt-get if they are missing.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, bail};

use crate::{progress, run};

/// The first of `folders`, then of `PATH` and the administrator's folders, that holds `program`.
pub fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let candidates = folders.iter().cloned().chain(env::split_paths(&path)).chain(administrators);
    candidates.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Installs Debian packages; the list of packages is fetched once per process.
pub fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !is_root() || find("apt-get", &[]).is_none() {
        bail!(
            "missing here: {names}; install these packages (on Debian: apt-get install {names}) or run as root"
        );
    }
    let log = env::temp_dir().join("dbmazz-testbed-apt.log");
    progress::step(format!("installing {names}"), || {
        static UPDATED: OnceLock<()> = OnceLock::new();
        if UPDATED.get().is_none() {
            run::up_to_three_times("apt-get update", || run::logged(apt_get().arg("update"), &log))?;
            UPDATED.get_or_init(|| ());
        }
        run::up_to_three_times("apt-get install", || {
            run::logged(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages), &log)
        })
    })
    .with_context(|| format!("cannot install {names}"))
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Fails with the remedy when a path that a package should have installed is still missing.
pub fn require(file: &Path, package: &str) -> Result<()> {
    anyhow::ensure!(
        file.exists(),
        "{} is missing, though it belongs to package {package}: reinstall it",
        file.display()
    );
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Another apt-get may be running, for example the automatic one of a new virtual machine.
    command.args(["-o", "DPkg::Lock::Timeout=120", "-q"]).env("DEBIAN_FRONTEND", "noninteractive");
    command
}
