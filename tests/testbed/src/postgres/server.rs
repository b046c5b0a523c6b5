//! The process of a server: started on a free port, polled until it accepts connections, stopped by signal.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{Binaries, Folder, PostgresOptions};
use crate::{network::NetworkNamespace, run};

const START_LIMIT: Duration = Duration::from_secs(60);
const PORTS_TO_TRY: usize = 5;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    process: Child,
    command: Command,
    ready: Ready,
}

impl Server {
    pub(super) fn start(binaries: &Binaries, folder: &Folder, options: &PostgresOptions) -> Result<Self> {
        let mut last = None;
        // Another process may take a free port before our server does.
        for _ in 0..options.port.map_or(PORTS_TO_TRY, |_| 1) {
            let port = options.port.map_or_else(|| free_port(options), Ok)?;
            match Self::start_on(port, binaries, folder, options) {
                Ok(server) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no port was tried")?)
    }

    fn start_on(port: u16, binaries: &Binaries, folder: &Folder, options: &PostgresOptions) -> Result<Self> {
        let mut command = folder.command(options.network, &binaries.server("postgres"));
        command.arg("-D").arg(folder.data()).args(["-p", &port.to_string()]);
        let ready = Ready::of(folder);
        let process = ready.launch(&mut command)?;
        Ok(Self { address: (options.listen, port).into(), process, command, ready })
    }

    pub(super) fn start_again(&mut self) -> Result<()> {
        if self.process.try_wait()?.is_none() {
            bail!("PostgreSQL at {} is already running", self.address);
        }
        self.process = self.ready.launch(&mut self.command)?;
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn stop(&mut self, signal: Signal) -> Result<()> {
        if self.process.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_child(&self.process);
        kill_process(pid, signal).with_context(|| format!("cannot signal PostgreSQL, process {pid:?}"))?;
        self.process.wait().context("PostgreSQL did not end")?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The clean-up of the folder ends a server that this signal could not end.
        drop(self.stop(Signal::QUIT));
    }
}

/// Detects from the server's own files when it accepts connections.
#[derive(Debug)]
struct Ready {
    pid_file: std::path::PathBuf,
    log: std::path::PathBuf,
}

impl Ready {
    fn of(folder: &Folder) -> Self {
        Self { pid_file: folder.data().join("postmaster.pid"), log: folder.log() }
    }

    fn launch(&self, command: &mut Command) -> Result<Child> {
        let mut process = run::into_log(command, &self.log)?.spawn().context("cannot start PostgreSQL")?;
        run::wait_until("PostgreSQL takes connections", START_LIMIT, || match process.try_wait()? {
            Some(status) => bail!("PostgreSQL ended with {status}; {}", run::excerpt(&self.log)),
            None => Ok(self.is_said(process.id())),
        })
        .inspect_err(|_| drop(process.kill()))?;
        Ok(process)
    }

    /// The last line of the pid file is the state; the first is the process id, which distinguishes it from a stale
    /// file.
    fn is_said(&self, pid: u32) -> bool {
        let file = fs::read_to_string(&self.pid_file).unwrap_or_default();
        file.lines().next() == Some(&pid.to_string())
            && file.lines().last().is_some_and(|state| state.trim() == "ready")
    }
}

fn free_port(options: &PostgresOptions) -> Result<u16> {
    let address = SocketAddr::new(options.listen, 0);
    let listener = match options.network {
        None => TcpListener::bind(address).with_context(|| format!("cannot listen on {}", options.listen))?,
        Some(network) => NetworkNamespace::listen(network, address)?,
    };
    Ok(listener.local_addr()?.port())
}
