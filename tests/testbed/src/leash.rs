//! Cleans up everything that a test starts, in whatever way the test ends.
//!
//! A leash is a locked file. A small guard process outside our process group waits for the lock, gets it when the last
//! holder has released it or was killed, and then runs a clean-up script. An ordinary end takes the same path, so the
//! path that `kill -9` depends on is always tested.
//!
//! A parent-death signal is not enough: Linux sends it when the *thread* that started the child ends, and the thread of
//! a test ends long before its process.

use std::{
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::run;

/// A function for every script: `gone PID`. A zombie counts as ended.
const WORDS: &str = r#"
gone() { [ ! -d "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
wait_gone() { for moment in $(seq 200); do gone "$1" && return; sleep 0.05; done; return 1; }
"#;

#[derive(Debug)]
pub struct Leash {
    _lock: File,
}

impl Leash {
    /// Starts a guard that runs the shell `script` with `arguments` (`$1`, `$2`, …) when no holder of `file` is left.
    pub fn tie(file: &Path, script: &str, arguments: &[&str]) -> Result<Self> {
        File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        let leash = Self::hold(file)?.context("the leash just made is gone")?;
        let script = format!("{WORDS}{script}");
        let mut guard = Command::new("setsid");
        guard
            .args(["--fork", "flock", "--exclusive"])
            .arg(file)
            .args(["sh", "-c", &script, "leash"])
            .args(arguments);
        guard.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = guard.status().context("cannot run setsid and flock: install util-linux")?;
        anyhow::ensure!(
            status.success(),
            "the guard of {} did not start: setsid said {status}",
            file.display()
        );
        Ok(leash)
    }

    /// Runs the script now and waits for its end: for the remains of an owner whose guard was killed too.
    pub fn clean_up(script: &str, arguments: &[&str]) -> Result<()> {
        let script = format!("{WORDS}{script}");
        run::output(Command::new("sh").args(["-c", &script, "leash"]).args(arguments)).map(drop)
    }

    /// Becomes one more holder of an existing leash; `None` if there is none. Waits while its guard is cleaning up.
    pub fn hold(file: &Path) -> Result<Option<Self>> {
        let Some(lock) = open(file)? else { return Ok(None) };
        lock.lock_shared().with_context(|| format!("cannot lock {}", file.display()))?;
        Ok(Some(Self { _lock: lock }))
    }

    /// Locks out the guard and all other holders, if there is a leash. Waits while the guard is cleaning up.
    pub fn seize(file: &Path) -> Result<Option<File>> {
        let Some(lock) = open(file)? else { return Ok(None) };
        lock.lock().with_context(|| format!("cannot lock {}", file.display()))?;
        Ok(Some(lock))
    }

    /// Releases the leash and waits until the guard has removed `folder`.
    pub fn release(self, folder: PathBuf) -> Result<()> {
        drop(self);
        run::wait_until(
            &format!("{} is removed", folder.display()),
            std::time::Duration::from_secs(60),
            || Ok(!folder.exists()),
        )
    }
}

fn open(file: &Path) -> Result<Option<File>> {
    match File::options().append(true).open(file) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot open {}", file.display())),
    }
}
