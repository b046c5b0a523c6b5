//! Entry point for the fuzzer: a session with arbitrary bytes from the server, up to the stream.

use std::{
    io::{ErrorKind, Read},
    net::{Shutdown, TcpListener, TcpStream},
    ops::ControlFlow,
    time::{Duration, Instant},
};

use super::{Connection, Socket, channel_binding, login};
use crate::config::SourceConfig;

/// The operation of the session that reads the bytes.
#[derive(Debug, Clone, Copy)]
pub enum Doing {
    LogIn,
    Query,
    EachRow,
    StartCopy,
    EndCopy,
}

/// Limit for reading an answer that has already arrived.
const LIMIT: Duration = Duration::from_secs(5);

/// A server that accepts every connection and sends nothing by itself.
#[derive(Debug)]
pub struct Mute {
    ours: TcpStream,
    theirs: TcpStream,
}

impl Mute {
    pub fn new() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ours = TcpStream::connect(listener.local_addr()?)?;
        let (theirs, _) = listener.accept()?;
        theirs.shutdown(Shutdown::Write)?;
        theirs.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        Ok(Self { ours, theirs })
    }

    /// Feeds a session in the operation `doing` with these bytes and then the end; returns its error.
    pub fn hear(&mut self, bytes: &[u8], doing: Doing, config: &SourceConfig) -> Result<(), String> {
        let tcp = self.ours.try_clone().map_err(|error| error.to_string())?;
        let mut connection = Connection { socket: Socket::plain(tcp), inbox: bytes.to_vec(), key: None };
        let deadline = Instant::now() + LIMIT;
        let done = match doing {
            Doing::LogIn => login::log_in(&mut connection, config, deadline)
                .and_then(|()| connection.until_ready(deadline).map(drop)),
            Doing::Query => connection.query("SELECT 1").map(drop),
            Doing::EachRow => connection.each_row("SELECT 1", |row| {
                if row.value(0).is_none() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }),
            Doing::StartCopy => connection.start_copy("START_REPLICATION"),
            Doing::EndCopy => connection.end_copy(bytes.to_vec(), LIMIT),
        };
        self.take_all();
        done.map_err(|error| format!("{:?}", error.fault(config)))
    }

    /// What was sent here makes room for what the next session sends.
    fn take_all(&mut self) {
        let mut taken = [0; 4096];
        loop {
            match self.theirs.read(&mut taken) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// Whether the algorithm of a certificate's signature is found.
pub fn certificate(der: &[u8]) -> bool {
    channel_binding::signature_algorithm(der).is_some()
}
