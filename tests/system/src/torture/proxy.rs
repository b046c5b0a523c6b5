//! A TCP proxy that a test can cut, slow down and close.
//!
//! A proxy of a frontend needs a second proxy of the backend: the frontend's redirects name the backend's port, and the
//! proxy replaces it by the port of the second proxy. Both have five digits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

const CHUNK: usize = 64 << 10;

/// Forwards bytes between its own port and another, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    link: Arc<Link>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Link {
    target: u16,
    /// The replacement in answers: both have the same number of bytes.
    rewrite: Option<(String, String)>,
    /// The number of cuts; a connection is reset when it increases.
    cuts: watch::Sender<u64>,
    /// The delay of every chunk, in milliseconds.
    delay: AtomicU64,
    closed: AtomicBool,
    hold: watch::Sender<Hold>,
}

/// What a caller sends is held back from the first bytes that contain the text.
#[derive(Debug, Default)]
struct Hold {
    text: Option<String>,
    caught: bool,
}

impl Proxy {
    /// A proxy of a port of this machine.
    pub async fn before(target: u16) -> Result<Self> {
        Self::start(target, None).await
    }

    /// A proxy of a frontend whose backend has another proxy.
    pub async fn before_frontend(target: u16, backend: u16, instead: &Self) -> Result<Self> {
        let (backend, instead) = (format!(":{backend}/"), format!(":{}/", instead.port));
        ensure!(backend.len() == instead.len(), "ports of one length can stand for each other");
        Self::start(target, Some((backend, instead))).await
    }

    async fn start(target: u16, rewrite: Option<(String, String)>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let ((cuts, _), (hold, _)) = (watch::channel(0), watch::channel(Hold::default()));
        let (delay, closed) = Default::default();
        let link = Arc::new(Link { target, rewrite, cuts, delay, closed, hold });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&link)));
        Ok(Self { port, link, _serving: serving })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Resets every open connection.
    pub fn cut(&self) {
        self.link.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Delays every chunk of bytes by this time.
    pub fn delay(&self, delay: Duration) {
        self.link.delay.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// Closes every open connection, and every new one at once.
    pub fn close(&self) {
        self.link.closed.store(true, Ordering::Relaxed);
        self.cut();
    }

    /// Holds back what callers send, from the first bytes that contain the text, until the proxy is healed.
    pub fn hold(&self, text: &str) {
        self.link.hold.send_replace(Hold { text: Some(text.to_owned()), caught: false });
    }

    /// Waits until something is held back.
    pub async fn until_held(&self) -> Result<()> {
        self.link.hold.subscribe().wait_for(|hold| hold.caught).await?;
        Ok(())
    }

    /// Removes every fault of the proxy.
    pub fn heal(&self) {
        self.link.hold.send_replace(Hold::default());
        self.link.closed.store(false, Ordering::Relaxed);
        self.delay(Duration::ZERO);
    }
}

async fn serve(listener: TcpListener, link: Arc<Link>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((caller, _)) = listener.accept() => {
                connections.spawn(carry(caller, Arc::clone(&link)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(caller: TcpStream, link: Arc<Link>) {
    let mut cuts = link.cuts.subscribe();
    if link.closed.load(Ordering::Relaxed) {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", link.target)).await else { return };
    drop((caller.set_nodelay(true), server.set_nodelay(true)));
    // A reset, not an orderly end: bytes in transit are lost, as when a cable breaks.
    drop((caller.set_zero_linger(), server.set_zero_linger()));
    let ((from_caller, to_caller), (from_server, to_server)) = (caller.into_split(), server.into_split());
    tokio::select! {
        _ = cuts.changed() => {}
        _ = both(&link, (from_caller, to_server), (from_server, to_caller)) => {}
    }
}

type Way = (OwnedReadHalf, OwnedWriteHalf);

/// Runs until both directions have ended in order, or one has failed.
async fn both(link: &Link, asking: Way, answering: Way) -> Result<()> {
    let rewrite = link.rewrite.as_ref();
    tokio::try_join!(one_way(link, asking, true, None), one_way(link, answering, false, rewrite))?;
    Ok(())
}

async fn one_way(link: &Link, way: Way, asks: bool, rewrite: Option<&(String, String)>) -> Result<()> {
    let (mut from, mut to) = way;
    let mut bytes = vec![0; CHUNK];
    loop {
        let count = from.read(&mut bytes).await?;
        let chunk = bytes.get_mut(..count).context("a chunk")?;
        if chunk.is_empty() {
            return Ok(to.shutdown().await?);
        }
        if asks {
            link.passes(chunk).await?;
        }
        let delay = link.delay.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        if let Some((text, instead)) = rewrite {
            write_over(chunk, text.as_bytes(), instead.as_bytes());
        }
        to.write_all(chunk).await?;
    }
}

impl Link {
    async fn passes(&self, bytes: &[u8]) -> Result<()> {
        let is_held = |hold: &Hold| hold.text.as_ref().is_some_and(|text| holds(bytes, text.as_bytes()));
        if self.hold.send_if_modified(|hold| is_held(hold) && !std::mem::replace(&mut hold.caught, true)) {
            self.hold.subscribe().wait_for(|hold| hold.text.is_none()).await?;
        }
        Ok(())
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

fn write_over(bytes: &mut [u8], text: &[u8], instead: &[u8]) {
    let found = bytes.windows(text.len()).position(|window| window == text);
    if let Some(place) = found.and_then(|start| bytes.get_mut(start..start + instead.len())) {
        place.copy_from_slice(instead);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> Result<(u16, JoinSet<()>)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (mut from, mut to) = socket.split();
                drop(tokio::io::copy(&mut from, &mut to).await);
            }
        });
        Ok((port, task))
    }

    async fn said_back(socket: &mut TcpStream, text: &[u8]) -> Result<Vec<u8>> {
        socket.write_all(text).await?;
        let mut answer = vec![0; text.len()];
        socket.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn bytes_go_through_until_the_proxy_is_cut() -> Result<()> {
        let (port, _echo) = echo().await?;
        let proxy = Proxy::before(port).await?;
        let mut socket = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        assert_eq!(said_back(&mut socket, b"hello").await?, b"hello");
        proxy.cut();
        assert!(said_back(&mut socket, b"hello").await.is_err());
        let mut again = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        assert_eq!(said_back(&mut again, b"again").await?, b"again");
        Ok(())
    }

    #[tokio::test]
    async fn a_closed_proxy_answers_nobody_until_it_is_healed() -> Result<()> {
        let (port, _echo) = echo().await?;
        let proxy = Proxy::before(port).await?;
        proxy.close();
        let mut socket = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        assert!(said_back(&mut socket, b"hello").await.is_err());
        proxy.heal();
        let mut socket = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        assert_eq!(said_back(&mut socket, b"hello").await?, b"hello");
        Ok(())
    }

    #[tokio::test]
    async fn what_contains_the_text_is_held_until_the_proxy_is_healed() -> Result<()> {
        let (port, _echo) = echo().await?;
        let proxy = Proxy::before(port).await?;
        proxy.hold("START");
        let mut socket = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
        assert_eq!(said_back(&mut socket, b"hello").await?, b"hello");
        let asking = said_back(&mut socket, b"a START");
        let healing = async {
            proxy.until_held().await?;
            proxy.heal();
            Ok(())
        };
        let (said, ()) = tokio::try_join!(asking, healing)?;
        assert_eq!(said, b"a START");
        Ok(())
    }

    #[test]
    fn a_redirect_names_the_companion() {
        let mut answer = b"Location: http://127.0.0.1:41000/api".to_vec();
        write_over(&mut answer, b":41000/", b":42000/");
        assert_eq!(answer, b"Location: http://127.0.0.1:42000/api");
    }
}
