//! Connects to the server: tries every address of its name, then negotiates TLS as configured.
//!
//! Each mode guarantees what libpq's mode of the same name guarantees; no mode falls back to plaintext.

mod trust;

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::{ClientConfig, ClientConnection, crypto::ring, pki_types::ServerName};
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};

use super::socket::Socket;
use crate::{
    config::{SourceConfig, TlsMode},
    postgres::error::SourceError,
};

/// Limit for one address, while there are others to try.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Sent bytes that are not acknowledged for this long end the connection.
const UNANSWERED: Duration = Duration::from_secs(30);
/// The receive window for a distant server.
const WIDE: Offer = Offer { window: 4 << 20, segment: None };
/// A server that puts each message on the wire by itself is as slow as its sends. Behind a full window they wait,
/// are put together and go in a few large pieces; so the window is one that a pause of the reader fills. Its segments
/// are those of Ethernet everywhere: within one machine they would be half of the widest window so far, and a window
/// that shrinks below one segment lets a piece through only when a timer of the server fires, five times a second.
const NARROW: Offer = Offer { window: 16 << 10, segment: Some(1460) };
/// Round-trip time below which a narrow window passes all that a server can decode: 32 MB/s and more.
const NEAR: Duration = Duration::from_micros(500);
/// Longer than a busy machine nearby takes to answer.
const FAR: Duration = Duration::from_millis(10);

/// Socket options that are announced while connecting: they limit how much the server may send at once.
#[derive(Debug)]
struct Offer {
    window: usize,
    segment: Option<u32>,
}

/// Receive window and segment size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    Wide,
    /// Narrow when the server is near.
    Fitting,
}

pub(super) fn dial(config: &SourceConfig, window: Window, deadline: Instant) -> Result<Socket, SourceError> {
    let tcp = connect(config, window).map_err(SourceError::Unreachable)?;
    let mut socket = Socket::plain(tcp);
    let Some(mut tls) = client(config)? else { return Ok(socket) };
    if !accepts_tls(&mut socket, deadline).map_err(SourceError::Unreachable)? {
        return Err(SourceError::Tls("the server does not offer it".to_owned()));
    }
    // Channel binding and certificates do not mix with renegotiated sessions, and nothing is resumed.
    tls.set_buffer_limit(None);
    socket.into_tls(tls, deadline).map_err(|error| SourceError::Tls(error.to_string()))
}

fn connect(config: &SourceConfig, window: Window) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (config.host.as_str(), config.port).to_socket_addrs()? {
        match connect_to(address, window) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_to(address: SocketAddr, window: Window) -> io::Result<TcpStream> {
    let (mut socket, first) = connect_with(address, WIDE)?;
    // The round-trip time is known only now, and an announced window cannot be reduced: so connect again.
    if window == Window::Fitting && first < FAR {
        let (narrow, second) = connect_with(address, NARROW)?;
        if first.min(second) < NEAR {
            socket = narrow;
        }
    }
    let stream = TcpStream::from(socket);
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    // A worker that does not notice a broken connection would continue loading.
    SockRef::from(&stream).set_tcp_user_timeout(Some(UNANSWERED))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// The socket, and how long the server took to answer.
fn connect_with(address: SocketAddr, offer: Offer) -> io::Result<(RawSocket, Duration)> {
    let begun = Instant::now();
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_recv_buffer_size(offer.window)?;
    offer.segment.map_or(Ok(()), |segment| socket.set_tcp_mss(segment))?;
    socket.connect_timeout(&address.into(), CONNECT_LIMIT)?;
    Ok((socket, begun.elapsed()))
}

/// Reads exactly one byte: unencrypted bytes after an `S` could be injected by an attacker.
fn accepts_tls(socket: &mut Socket, deadline: Instant) -> io::Result<bool> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket.write_all(&request, deadline)?;
    let mut answer = [0; 1];
    socket.read_within(&mut answer, deadline)?;
    Ok(answer == *b"S")
}

fn client(config: &SourceConfig) -> Result<Option<ClientConnection>, SourceError> {
    if config.tls.mode == TlsMode::Disable {
        return Ok(None);
    }
    let problem = |error: &dyn std::fmt::Display| SourceError::Tls(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let verifier = trust::verifier(&config.tls, &provider)?;
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| problem(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(config.host.clone()).map_err(|error| problem(&error))?;
    ClientConnection::new(Arc::new(tls), name).map(Some).map_err(|error| problem(&error))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_narrow_window_holds_many_segments_also_within_one_machine() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _ours = connect_with(listener.local_addr().unwrap(), NARROW).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let segment = SockRef::from(&theirs).tcp_mss().unwrap() as usize;
        assert!(segment * 8 <= NARROW.window, "the server may send {segment} bytes at once");
    }
}
