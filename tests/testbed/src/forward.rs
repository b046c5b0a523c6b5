//! Forwards ports of 127.0.0.1 into the cluster's network, for programs outside: kubectl, psql, a browser.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};

use crate::network::NetworkNamespace;

/// Forwards until it is dropped. Open connections continue after that.
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Forwarder {
    /// Listens on 127.0.0.1 (`port` 0: a free one) and connects each caller with `inside`.
    pub fn start(network: NetworkNamespace, port: u16, inside: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("port {port} of 127.0.0.1 is taken: name another"))?;
        let forwarder = Self { address: listener.local_addr()?, stopped: Arc::default() };
        let stopped = Arc::clone(&forwarder.stopped);
        let serve = move || serve(&listener, network, inside, &stopped);
        thread::Builder::new().name(format!("forward {inside}")).spawn(serve)?;
        Ok(forwarder)
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // One more connection wakes the listener, which then ends.
        drop(TcpStream::connect(self.address));
    }
}

/// The listener was made outside and stays there; this thread, and the ones it starts, move inside and connect there.
fn serve(listener: &TcpListener, network: NetworkNamespace, inside: SocketAddr, stopped: &AtomicBool) {
    if network.enter().is_err() {
        return; // the cluster is gone; callers find the port closed
    }
    for caller in listener.incoming() {
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(caller) = caller else { continue };
        drop(thread::Builder::new().spawn(move || join(caller, inside)));
    }
}

/// Forwards bytes in both directions until both sides have closed. A caller whose target does not answer is closed.
fn join(caller: TcpStream, inside: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(inside)?;
    caller.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (caller_again, server_again) = (caller.try_clone()?, server.try_clone()?);
    let answers = thread::Builder::new().spawn(move || carry(&server_again, &caller_again))?;
    carry(&caller, &server);
    drop(answers.join());
    Ok(())
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    let outcome = io::copy(&mut from, &mut to);
    // The end of one direction is passed on while the other continues. An error ends both.
    let end = if outcome.is_ok() { Shutdown::Write } else { Shutdown::Both };
    drop(to.shutdown(end));
    if outcome.is_err() {
        drop(from.shutdown(Shutdown::Both));
    }
}
