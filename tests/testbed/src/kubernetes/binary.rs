//! The Go programs of the cluster, built once from a pinned module and kept in the user's cache.
//!
//! The module is part of this crate (`tests/testbed/kubernetes`). A hash of its text names the folder in the cache, so
//! a changed version is built again and an unchanged one is not.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::{packages, progress, run};

pub const VERSION: &str = "v1.35.4";

const SOURCE: [(&str, &str); 4] = [
    ("go.mod", include_str!("../../kubernetes/go.mod")),
    ("go.sum", include_str!("../../kubernetes/go.sum")),
    ("main.go", include_str!("../../kubernetes/main.go")),
    ("pause/main.go", include_str!("../../kubernetes/pause/main.go")),
];

const PROGRAMS: [&str; 8] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
    "helm",
];

/// How the folder of an unfinished build is called, before its process id.
const MADE: &str = "made";

/// The folder that holds the programs under their names, and `pause`.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub folder: PathBuf,
}

impl Binaries {
    /// The programs in the cache. If they are missing, one process builds them while the others wait.
    pub fn find_or_build() -> Result<Self> {
        let home = home()?;
        let folder = home.join("bin");
        fs::create_dir_all(&home)?;
        let lock = File::create(home.join("lock"))?;
        if !folder.exists() {
            lock.lock()?;
        }
        if !folder.exists() {
            build(&home).context("cannot build Kubernetes")?;
        }
        Ok(Self { folder })
    }

    /// The programs in the cache, if they were built before.
    pub(super) fn built() -> Result<Option<Self>> {
        let folder = home()?.join("bin");
        Ok(folder.exists().then_some(Self { folder }))
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The user's cache for this project: built programs and running clusters.
pub(crate) fn cache() -> Result<PathBuf> {
    let named = env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder = named
        .or_else(home)
        .context("neither XDG_CACHE_HOME nor HOME is set: set one to keep what is built")?;
    Ok(folder.join("dbmazz"))
}

fn home() -> Result<PathBuf> {
    Ok(cache()?.join(format!("kubernetes-{VERSION}-{}", digest())))
}

fn digest() -> String {
    let mut digest = Sha256::new();
    for (name, text) in SOURCE {
        digest.update(name);
        digest.update(text);
    }
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn build(home: &Path) -> Result<()> {
    let go = go()?;
    let (source, log) = (home.join("source"), home.join("build.log"));
    // What Go had compiled when an earlier build was cut is in its cache; its compiler may still be running, and must
    // not write to our folder.
    remove_unfinished(home)?;
    drop(fs::remove_file(&log));
    let made = home.join(format!("{MADE}-{}", std::process::id()));
    fs::create_dir_all(source.join("pause"))?;
    fs::create_dir_all(&made)?;
    for (name, text) in SOURCE {
        fs::write(source.join(name), text)?;
    }
    progress::step(
        format!("building Kubernetes {VERSION} and Helm from source: once, about 8 minutes of two cores"),
        || {
            run::up_to_three_times("building Kubernetes", || {
                compile(&go, &source, ".", &made.join("kubernetes"), &log)
            })?;
            compile(&go, &source, "./pause", &made.join("pause"), &log)
        },
    )?;
    for program in PROGRAMS {
        symlink("kubernetes", made.join(program))?;
    }
    // The rename makes the folder appear complete or not at all.
    Ok(fs::rename(made, home.join("bin"))?)
}

fn remove_unfinished(home: &Path) -> Result<()> {
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(MADE) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn compile(go: &Path, source: &Path, package: &str, output: &Path, log: &Path) -> Result<()> {
    let named = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {named}.gitVersion={VERSION} -X {named}.gitMajor=1 -X {named}.gitMinor=35 -X {named}.gitTreeState=clean"
    );
    let mut command = Command::new(go);
    command.current_dir(source).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly -buildvcs=false");
    // The compiler collects less garbage: a sixth of its CPU time for a little memory.
    command.env("GOGC", "500");
    command.args(["build", "-v", "-trimpath", "-ldflags", &flags, "-o"]).arg(output).arg(package);
    let mut process = run::into_log(&mut command, log)?.spawn().context("cannot start go")?;
    let (begun, mut said) = (Instant::now(), 0);
    run::wait_until("the build ends", Duration::from_secs(3600), || {
        if begun.elapsed().as_secs() / 60 > said {
            said += 1;
            progress::detail(progress_of(log, begun.elapsed()));
        }
        Ok(process.try_wait()?.is_some())
    })?;
    let status = process.wait()?;
    ensure!(status.success(), "go build ended with {status}; {}", run::excerpt(log));
    Ok(())
}

fn progress_of(log: &Path, elapsed: Duration) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let (downloads, packages): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.starts_with("go: downloading"));
    let elapsed = progress::Elapsed(elapsed);
    format!(
        "{elapsed}: {} modules fetched, {} packages begun of about 3,000",
        downloads.len(),
        packages.len()
    )
}

/// Go 1.21 and later fetch exactly the version that the module requires.
fn go() -> Result<PathBuf> {
    let find = || packages::find("go", &[PathBuf::from("/usr/local/go/bin")]);
    if find().is_none() {
        packages::install(&["golang-go"])?;
    }
    let go = find().context("package golang-go brought no go")?;
    let version = run::output(Command::new(&go).args(["env", "GOVERSION"]))?;
    let minor =
        version.trim().strip_prefix("go1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    match minor {
        Some(minor) if minor < 21 => {
            bail!("{} is too old: install Go 1.25 or newer from https://go.dev/dl", version.trim())
        }
        _ => Ok(go),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_asks_for_the_version_that_the_binary_will_claim() {
        assert!(SOURCE[0].1.contains(&format!("k8s.io/kubernetes {VERSION}")));
    }
}
