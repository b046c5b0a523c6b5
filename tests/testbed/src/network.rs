//! A network namespace, used from outside: connections into it, listeners in it, and programs that run in it.
//!
//! A socket belongs to the network namespace of the thread that created it, whichever thread uses it. So a short-lived
//! thread enters the namespace, creates the socket and returns it.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The network namespace of a process, named by that process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkNamespace {
    pid: u32,
}

impl NetworkNamespace {
    pub fn of_process(pid: u32) -> Self {
        Self { pid }
    }

    pub fn connect(self, address: SocketAddr) -> Result<TcpStream> {
        self.within(|| TcpStream::connect(address))?
            .with_context(|| format!("no connection to {address} inside the cluster"))
    }

    pub fn listen(self, address: SocketAddr) -> Result<TcpListener> {
        self.within(|| TcpListener::bind(address))?
            .with_context(|| format!("cannot listen on {address} inside the cluster"))
    }

    /// Runs `work` on a thread inside; threads that it starts are inside too. So an async runtime that is built there
    /// makes all its connections inside.
    pub fn within<T: Send>(self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || self.enter().map(|()| work());
        let outcome = thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("work inside a network panicked"))?;
        outcome.with_context(|| {
            format!("cannot enter the network of process {}: it is gone, or we are not root", self.pid)
        })
    }

    /// Moves the calling thread inside permanently.
    pub fn enter(self) -> io::Result<()> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid))?;
        // This affects only the calling thread, which belongs to this crate.
        Ok(move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))?)
    }

    /// A program that runs inside, as our child process.
    pub fn command(self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid)).arg("--").arg(program);
        command
    }
}
