//! One of our programs as a process that cannot outlive its owner.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use testbed::{
    image::{Profile, compile},
    leash::Leash,
};

/// Compiles a program once per test process; cargo returns at once when nothing has changed.
pub fn program(package: &'static str, name: &'static str) -> Result<PathBuf> {
    static BUILT: OnceLock<std::sync::Mutex<std::collections::BTreeMap<&str, PathBuf>>> = OnceLock::new();
    let mut built =
        BUILT.get_or_init(Default::default).lock().map_err(|_| anyhow::anyhow!("a build failed"))?;
    if let Some(path) = built.get(name) {
        return Ok(path.clone());
    }
    let path = compile(package, name, Profile::of_tests())?;
    built.insert(name, path.clone());
    Ok(path)
}

/// A running program; killed when dropped, or when the process that owns it dies.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    // Dropped last, so that the guard removes nothing that is still used.
    _leash: Leash,
    _folder: TempDir,
}

impl Process {
    /// Starts `command` with its standard output and error in a log file.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join(format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let script = r#"grep -qF "$2" "/proc/$1/cmdline" 2>/dev/null && kill -KILL "$1"; true"#;
        let program = command.get_program().to_string_lossy().into_owned();
        let leash = Leash::tie(&folder.path().join("leash"), script, &[&child.id().to_string(), &program])?;
        Ok(Self { child, log, _leash: leash, _folder: folder })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The program's output so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The exit status, if the program has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until the program has ended by itself.
    pub async fn until_ended(&mut self) -> Result<ExitStatus> {
        crate::wait::until("the program ends by itself", async || self.ended()).await
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGSTOP: suspends the process until SIGCONT; the process does not notice.
    pub fn freeze(&self) -> Result<()> {
        self.signal("-STOP")
    }

    pub fn wake(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status()?;
        anyhow::ensure!(sent.success(), "kill {signal}: {sent}");
        Ok(())
    }

    /// SIGTERM, as Kubernetes sends it, and waits for the end.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        let pid = self.pid().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let said = || {
            format!("the program ends; it said:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default())
        };
        let what = said();
        let child = &mut self.child;
        crate::wait::until(&what, async || Ok(child.try_wait()?)).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; it is reaped in either case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
