//! The PostgreSQL client: a blocking session for SQL and for the replication stream.
//!
//! ```text
//! socket ─► (tls) ─► frames ─► login ─► query … query ─► copy (the stream reads the socket itself) ─► query …
//! ```
//!
//! The rule: every wait has a limit, and a length that the peer claims never reserves memory.

mod answer;
mod cancel;
mod channel_binding;
mod copy_out;
mod frame;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod login;
mod settings;
mod socket;
mod tls;

use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

pub(crate) use answer::Row;
pub(super) use answer::server_error;
use bytes::BytesMut;
use cancel::CancelKey;
pub(super) use frame::{STREAM_BYTES, Split, message, split};
use postgres_protocol::message::frontend;
use socket::Socket;
use tls::Window;

use super::error::SourceError;
use crate::config::SourceConfig;

/// Limit for TCP, TLS and login.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// Limit for the answer to a statement.
const QUERY_LIMIT: Duration = Duration::from_secs(60);
/// Limit for the next row of a long answer: the server may have to sort a table before the first.
const ROW_LIMIT: Duration = Duration::from_secs(3600);
/// Limit for sending a small message.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// Limit of an answer to SQL in bytes: names, numbers, settings.
const ANSWER_BYTES: usize = 64 << 20;
const READ_BYTES: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    /// Bytes read and not consumed; frames of the query protocol are taken from its front.
    inbox: Vec<u8>,
    /// The key for requests to cancel a statement; `None` from some poolers.
    key: Option<CancelKey>,
}

impl Connection {
    /// Connects, agrees on TLS as configured, logs in and waits until the session is ready.
    pub(super) fn open(config: &SourceConfig) -> Result<Self, SourceError> {
        Ok(Self::start(config, settings::REPLICATION, Window::Wide)?.0)
    }

    /// A session whose socket is set up for a long stream.
    pub(super) fn open_for_stream(config: &SourceConfig) -> Result<Self, SourceError> {
        let (connection, settings) = Self::start(config, settings::REPLICATION, Window::Fitting)?;
        connection.without_conversion(&settings)
    }

    /// A session for SQL alone, which takes no walsender of the server.
    pub(super) fn open_for_sql(config: &SourceConfig) -> Result<Self, SourceError> {
        Ok(Self::start(config, &[], Window::Wide)?.0)
    }

    /// A session that reads rows: as for SQL alone, with the encoding of a stream.
    pub(super) fn open_to_copy(config: &SourceConfig) -> Result<Self, SourceError> {
        let (connection, settings) = Self::start(config, &[], Window::Wide)?;
        connection.without_conversion(&settings)
    }

    /// For a database without an encoding, texts are requested without conversion: PostgreSQL would refuse to send a
    /// text that is not UTF-8, and with it everything after it.
    fn without_conversion(mut self, settings: &[Row]) -> Result<Self, SourceError> {
        if settings::has_no_encoding(settings) {
            self.query("SET client_encoding = 'SQL_ASCII'")?;
        }
        Ok(self)
    }

    /// The session and its settings.
    fn start(
        config: &SourceConfig,
        settings: &[(&str, &str)],
        window: Window,
    ) -> Result<(Self, Vec<Row>), SourceError> {
        let deadline = Instant::now() + OPEN_LIMIT;
        let socket = tls::dial(config, window, deadline)?;
        let mut connection = Self { socket, inbox: Vec::new(), key: None };
        connection.write(|bytes| settings::startup_message(config, settings, bytes))?;
        login::log_in(&mut connection, config, deadline)?;
        connection.until_ready(deadline)?;
        let settings = connection.query(&settings::question())?;
        match settings::ignored(&settings) {
            Some(setting) => Err(SourceError::SettingsIgnored(setting)),
            None => Ok((connection, settings)),
        }
    }

    /// Runs one statement; returns its rows.
    pub(super) fn query(&mut self, sql: &str) -> Result<Vec<Row>, SourceError> {
        self.query_within(sql, QUERY_LIMIT)
    }

    /// As `query`, with another limit. After an error the session must not be used any more.
    pub(super) fn query_within(&mut self, sql: &str, limit: Duration) -> Result<Vec<Row>, SourceError> {
        let deadline = Instant::now() + limit;
        self.write(|bytes| frontend::query(sql, bytes))?;
        self.until_ready(deadline)
    }

    /// Runs one statement and passes its rows to `take` as they come, until it breaks. The session ends after it.
    pub(super) fn each_row(
        mut self,
        sql: &str,
        mut take: impl FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        self.write(|bytes| frontend::query(sql, bytes))?;
        loop {
            // A row may be as large as a change of it.
            let (tag, body) = self.receive_at_most(frame::STREAM_BYTES, Instant::now() + ROW_LIMIT)?;
            match tag {
                b'D' if take(answer::row(&body)?).is_break() => return Ok(()),
                b'E' => return Err(SourceError::Server(server_error(&body)?)),
                b'Z' => return Ok(()),
                b'D' | b'T' | b'C' | b'N' | b'S' | b'A' | b'I' => {}
                _ => return Err(unexpected(tag)),
            }
        }
    }

    /// Runs a command that turns the session into a stream in both directions.
    pub(super) fn start_copy(&mut self, command: &str) -> Result<(), SourceError> {
        let deadline = Instant::now() + QUERY_LIMIT;
        self.write(|bytes| frontend::query(command, bytes))?;
        loop {
            let (tag, body) = self.receive(deadline)?;
            match tag {
                b'W' => return Ok(()),
                b'E' => return Err(SourceError::Server(server_error(&body)?)),
                b'N' | b'S' => {}
                _ => return Err(unexpected(tag)),
            }
        }
    }

    /// What was read beyond the answer to `start_copy`: the first bytes of the stream.
    pub(super) fn take_inbox(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.inbox)
    }

    /// Reads what is there; `WouldBlock` when nothing is, and 0 when the server has closed.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.read(into)
    }

    /// Waits until there are bytes to read, at most for the limit.
    pub(super) fn wait(&mut self, limit: Duration) -> io::Result<()> {
        self.socket.wait_readable(limit)
    }

    /// Fails when the server is gone; for a caller that does not read for a while.
    pub(super) fn check(&self) -> io::Result<()> {
        self.socket.check()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        self.socket.write_all(bytes, Instant::now() + SEND_LIMIT).map_err(SourceError::Lost)
    }

    /// Sends a message of `postgres-protocol`, which refuses texts with a zero byte.
    fn write(&mut self, fill: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), SourceError> {
        let mut bytes = BytesMut::new();
        fill(&mut bytes).map_err(|error| SourceError::protocol(error.to_string()))?;
        self.send(&bytes)
    }

    /// Ends the stream in order: afterwards the server has read everything that was sent before.
    ///
    /// `unread` are bytes that the stream had read and not consumed.
    pub(super) fn end_copy(&mut self, unread: Vec<u8>, limit: Duration) -> Result<(), SourceError> {
        self.inbox = unread;
        let mut done = BytesMut::new();
        frontend::copy_done(&mut done);
        self.send(&done)?;
        let deadline = Instant::now() + limit;
        while self.skip_frame(deadline)? != b'Z' {}
        Ok(())
    }

    /// Sends Terminate; the session ends with the socket in any case.
    pub(super) fn close(mut self) {
        let mut end = BytesMut::new();
        frontend::terminate(&mut end);
        drop(self.send(&end));
    }

    /// Collects rows until the session is ready for the next statement.
    fn until_ready(&mut self, deadline: Instant) -> Result<Vec<Row>, SourceError> {
        let (mut rows, mut refused, mut room) = (Vec::new(), None, ANSWER_BYTES);
        loop {
            let (tag, body) = match (self.receive(deadline), refused.take()) {
                // After a fatal error the server closes the connection.
                (Err(_), Some(error)) => return Err(SourceError::Server(error)),
                (received, earlier) => {
                    refused = earlier;
                    received?
                }
            };
            match tag {
                b'D' => {
                    let endless = || SourceError::protocol("an answer does not end");
                    room = room.checked_sub(body.len()).ok_or_else(endless)?;
                    rows.push(answer::row(&body)?);
                }
                b'E' => refused = Some(server_error(&body)?),
                b'Z' => return refused.map_or(Ok(rows), |error| Err(SourceError::Server(error))),
                b'K' => self.key = cancel::key(&body),
                b'T' | b'C' | b'N' | b'S' | b'I' | b'A' => {}
                _ => return Err(unexpected(tag)),
            }
        }
    }

    /// The next frame of the query protocol: tag and body.
    fn receive(&mut self, deadline: Instant) -> Result<(u8, Vec<u8>), SourceError> {
        self.receive_at_most(ANSWER_BYTES, deadline)
    }

    fn receive_at_most(&mut self, bytes: usize, deadline: Instant) -> Result<(u8, Vec<u8>), SourceError> {
        loop {
            if let Split::Whole { tag, body, length } = split(&self.inbox, bytes)? {
                let body = self.inbox.get(body).unwrap_or_default().to_vec();
                self.inbox.drain(..length);
                return Ok((tag, body));
            }
            self.fill(deadline)?;
        }
    }

    /// As `receive`, for frames of any length whose content does not matter.
    fn skip_frame(&mut self, deadline: Instant) -> Result<u8, SourceError> {
        loop {
            if let Split::Whole { tag, length, .. } = split(&self.inbox, frame::STREAM_BYTES)? {
                self.inbox.drain(..length);
                return Ok(tag);
            }
            self.fill(deadline)?;
        }
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), SourceError> {
        let mut chunk = [0; READ_BYTES];
        let count = self.socket.read_within(&mut chunk, deadline).map_err(SourceError::Lost)?;
        self.inbox.extend_from_slice(chunk.get(..count).unwrap_or_default());
        Ok(())
    }
}

fn unexpected(tag: u8) -> SourceError {
    SourceError::protocol(format!("message {:?} at the wrong time", char::from(tag)))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::*;

    #[test]
    fn an_answer_without_an_end_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let row = frame::message(b'D', |body| {
            body.extend(*b"\0\x01\0\x20\0\0");
            body.resize(body.len() + 0x20_0000, b'x');
        });
        let rows = thread::spawn(move || while server.write_all(&row).is_ok() {});
        let mut connection = Connection { socket: Socket::plain(tcp), inbox: Vec::new(), key: None };
        let error = connection.query("SELECT 1").unwrap_err();
        assert!(error.to_string().contains("does not end"), "{error}");
        drop(connection);
        rows.join().unwrap();
    }
}
