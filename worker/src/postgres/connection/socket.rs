//! A TCP or TLS stream in which every wait has a limit.
//!
//! The socket is non-blocking; waits use `poll` with a limit. So one thread can read a stream, send status updates by
//! the clock, and react to a pause.

use std::{
    io::{self, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConnection;

/// Bytes read from TCP at once: the TLS library by itself reads a few records each time.
const CIPHERTEXT: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct Socket {
    /// Used for TLS only.
    tcp: BufReader<TcpStream>,
    tls: Option<Box<ClientConnection>>,
}

impl Socket {
    /// `tcp` must be non-blocking.
    pub(super) fn plain(tcp: TcpStream) -> Self {
        Self { tcp: BufReader::with_capacity(0, tcp), tls: None }
    }

    /// Continues in TLS, including the handshake.
    pub(super) fn into_tls(self, tls: ClientConnection, deadline: Instant) -> io::Result<Self> {
        let tcp = BufReader::with_capacity(CIPHERTEXT, self.tcp.into_inner());
        let mut socket = Self { tcp, tls: Some(Box::new(tls)) };
        while let Some(tls) = &mut socket.tls
            && tls.is_handshaking()
        {
            flush_tls(socket.tcp.get_ref(), tls, deadline)?;
            if tls.is_handshaking() && receive_tls(&mut socket.tcp, tls)? == Received::Nothing {
                wait(socket.tcp.get_ref(), PollFlags::IN, remaining(deadline)?)?;
            }
        }
        Ok(socket)
    }

    /// The session's TLS, for channel binding.
    pub(super) fn tls(&self) -> Option<&ClientConnection> {
        self.tls.as_deref()
    }

    /// Reads what is there; `WouldBlock` when nothing is, 0 at the end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => read_retrying(self.tcp.get_mut(), into),
            Some(tls) => read_records(&mut self.tcp, tls, into),
        }
    }

    /// Reads at least one byte before the deadline.
    pub(super) fn read_within(&mut self, into: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            match self.read(into) {
                Ok(0) => return Err(closed()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait_readable(remaining(deadline)?)?;
                }
                done => return done,
            }
        }
    }

    pub(super) fn write_all(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        match &mut self.tls {
            None => write_tcp(self.tcp.get_ref(), bytes, deadline),
            Some(tls) => {
                tls.writer().write_all(bytes)?;
                flush_tls(self.tcp.get_ref(), tls, deadline)
            }
        }
    }

    /// Fails when the peer is gone, although bytes may be left to read.
    pub(super) fn check(&self) -> io::Result<()> {
        let mut socket = [PollFd::new(self.tcp.get_ref(), PollFlags::RDHUP)];
        match poll(&mut socket, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => Err(closed()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until there are bytes to read, or the limit has passed. Only after a read that found nothing: bytes that
    /// were read ahead do not end the wait.
    pub(super) fn wait_readable(&self, limit: Duration) -> io::Result<()> {
        wait(self.tcp.get_ref(), PollFlags::IN, limit)
    }
}

pub(in crate::postgres) fn closed() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")
}

#[derive(Debug, PartialEq, Eq)]
enum Received {
    Something,
    Nothing,
}

/// Reads one record after the other: a server makes one record of each message.
fn read_records(
    tcp: &mut BufReader<TcpStream>,
    tls: &mut ClientConnection,
    into: &mut [u8],
) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = into.get_mut(filled..)
        && !room.is_empty()
    {
        match tls.reader().read(room) {
            // A peer that closes TCP without closing TLS ends the stream too.
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Err(_) if receive_tls(tcp, tls)? == Received::Something => {}
            Err(nothing) if filled == 0 => return Err(nothing),
            Err(_) => break,
        }
    }
    Ok(filled)
}

fn receive_tls(tcp: &mut BufReader<TcpStream>, tls: &mut ClientConnection) -> io::Result<Received> {
    match tls.read_tls(tcp) {
        Ok(0) if tls.is_handshaking() => return Err(closed()),
        // Read once more, which reports the end.
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Nothing),
        Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Received::Something),
        Err(error) => return Err(error),
    }
    let processed = tls.process_new_packets();
    if processed.is_err() {
        // The alert tells the peer the reason; its delivery does not matter.
        drop(tls.write_tls(tcp.get_mut()));
    }
    processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(Received::Something)
}

fn flush_tls(mut tcp: &TcpStream, tls: &mut ClientConnection, deadline: Instant) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(&mut tcp) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(tcp, PollFlags::OUT, remaining(deadline)?)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => drop(done?),
        }
    }
    Ok(())
}

fn write_tcp(mut tcp: &TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        match tcp.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(tcp, PollFlags::OUT, remaining(deadline)?)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_retrying(tcp: &mut TcpStream, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match tcp.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn wait(tcp: &TcpStream, what: PollFlags, limit: Duration) -> io::Result<()> {
    let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    match poll(&mut [PollFd::new(tcp, what)], Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::Error::new(ErrorKind::TimedOut, "no answer in time")) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, sync::Arc, thread};

    use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// Writes each message by itself, and ends.
    fn serve(listener: &TcpListener, config: ServerConfig, messages: usize) {
        let (tcp, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), tcp);
        (0..messages).for_each(|_| stream.write_all(&[7; 100]).unwrap());
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    }

    fn configs() -> (ServerConfig, ClientConfig) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        (server.unwrap(), ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }

    #[test]
    fn one_read_takes_every_record_that_is_there_and_the_next_tells_the_end() {
        const MESSAGES: usize = 500;
        let (server, client) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || serve(&listener, server, MESSAGES));
        let tcp = TcpStream::connect(address).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let tls = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        let mut socket = Socket::plain(tcp).into_tls(tls, Instant::now() + SOON).unwrap();
        // The server continues after the rest of the handshake, which is sent with the first bytes.
        socket.write_all(b"hello", Instant::now() + SOON).unwrap();
        serving.join().unwrap();
        let mut into = vec![0; MESSAGES * 200];
        assert_eq!(socket.read(&mut into[..150]).unwrap(), 150, "no more than there is room for");
        assert_eq!(socket.read(&mut into).unwrap(), MESSAGES * 100 - 150);
        assert_eq!(socket.read(&mut into).unwrap(), 0);
    }
}
