//! Statements that may take long: the caller can give one up, and the server then cancels it.
//!
//! A statement is cancelled on a separate connection, which sends only the session's key. It uses the same address as
//! the session, and TLS where the session does.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::{
    Connection, QUERY_LIMIT, READ_BYTES, Row, SEND_LIMIT, server_error,
    socket::closed,
    tls::{self, Window},
    unexpected,
};
use crate::{
    config::SourceConfig,
    postgres::{cursor::Cursor, error::SourceError},
};

/// Interval at which the caller's condition is checked.
const TICK: Duration = Duration::from_millis(100);
/// Limit for a cancelled statement to end.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// Identifies a session to the server: a process and a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct CancelKey(i32, i32);

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CancelKey(***)")
    }
}

/// The content of a BackendKeyData.
pub(super) fn key(body: &[u8]) -> Option<CancelKey> {
    let mut cursor = Cursor(body);
    let key = CancelKey(cursor.i32()?, cursor.i32()?);
    cursor.is_empty().then_some(key)
}

impl Connection {
    /// Runs one statement as long as the condition holds; `None` when it was cancelled. The session stays usable.
    pub(in crate::postgres) fn query_while(
        &mut self,
        config: &SourceConfig,
        sql: &str,
        mut is_wanted: impl FnMut() -> bool,
    ) -> Result<Option<Vec<Row>>, SourceError> {
        self.write(|bytes| frontend::query(sql, bytes))?;
        if !self.await_answer(&mut is_wanted)? {
            return self.cancel(config).map(|()| None);
        }
        self.until_ready(Instant::now() + QUERY_LIMIT).map(Some)
    }

    /// Runs a COPY TO STDOUT, whose rows the caller reads from the socket itself; `false` when it was cancelled before
    /// the first row.
    pub(in crate::postgres) fn start_copy_out(
        &mut self,
        config: &SourceConfig,
        command: &str,
        mut is_wanted: impl FnMut() -> bool,
    ) -> Result<bool, SourceError> {
        self.write(|bytes| frontend::query(command, bytes))?;
        loop {
            if !self.await_answer(&mut is_wanted)? {
                return self.cancel(config).map(|()| false);
            }
            let (tag, body) = self.receive(Instant::now() + QUERY_LIMIT)?;
            match tag {
                b'H' => return Ok(true),
                b'E' => return Err(SourceError::Server(server_error(&body)?)),
                b'N' | b'S' => {}
                _ => return Err(unexpected(tag)),
            }
        }
    }

    /// Waits for the first byte of an answer.
    fn await_answer(&mut self, is_wanted: &mut dyn FnMut() -> bool) -> Result<bool, SourceError> {
        let mut bytes = [0; READ_BYTES];
        while self.inbox.is_empty() {
            match self.socket.read(&mut bytes) {
                Ok(0) => return Err(SourceError::Lost(closed())),
                Ok(count) => self.inbox.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !is_wanted() {
                        return Ok(false);
                    }
                    self.socket.wait_readable(TICK).map_err(SourceError::Lost)?;
                }
                Err(error) => return Err(SourceError::Lost(error)),
            }
        }
        Ok(true)
    }

    /// Cancels the running statement, and discards what it has answered meanwhile.
    fn cancel(&mut self, config: &SourceConfig) -> Result<(), SourceError> {
        let Some(CancelKey(process, secret)) = self.key else {
            return Err(SourceError::protocol("the session has no key to cancel a statement with"));
        };
        let deadline = Instant::now() + CANCEL_LIMIT;
        let mut socket = tls::dial(config, Window::Wide, deadline)?;
        let mut request = BytesMut::new();
        frontend::cancel_request(process, secret, &mut request);
        socket.write_all(&request, Instant::now() + SEND_LIMIT).map_err(SourceError::Lost)?;
        while self.skip_frame(deadline)? != b'Z' {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_the_process_and_its_secret() {
        assert_eq!(key(&[0, 0, 0, 7, 1, 2, 3, 4]), Some(CancelKey(7, 0x0102_0304)));
        assert_eq!(key(&[0, 0, 0, 7]), None);
    }
}
