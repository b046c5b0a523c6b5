//! Statements that may take long: the caller can give one up, and the server then cancels it.
//!
//! A statement is cancelled on a separate connection, which sends only the session's key. It uses the same address as
//! the session, and TLS where the session does.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use super::{
    Connection, QUERY_LIMIT, READ_BYTES, Row, SEND_LIMIT, frame, server_error,
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
/// The code of a CancelRequest, in the place of a protocol version.
const CANCEL_REQUEST: u32 = (1234 << 16) | 5678;

/// Identifies a session to the server.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CancelKey(Vec<u8>);

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CancelKey(***)")
    }
}

/// The content of a BackendKeyData: a process and a secret.
pub(super) fn key(body: &[u8]) -> Option<CancelKey> {
    let mut cursor = Cursor(body);
    cursor.u32()?;
    (!cursor.is_empty()).then(|| CancelKey(body.to_vec()))
}

impl Connection {
    /// Runs one statement as long as the condition holds; `None` when it was cancelled. The session stays usable.
    pub(in crate::postgres) fn query_while(
        &mut self,
        config: &SourceConfig,
        sql: &str,
        mut is_wanted: impl FnMut() -> bool,
    ) -> Result<Option<Vec<Row>>, SourceError> {
        self.send(&frame::query(sql))?;
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
        self.send(&frame::query(command))?;
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
        let Some(CancelKey(key)) = &self.key else {
            return Err(SourceError::protocol("the session has no key to cancel a statement with"));
        };
        let deadline = Instant::now() + CANCEL_LIMIT;
        let mut socket = tls::dial(config, Window::Wide, deadline)?;
        socket.write_all(&request(key), Instant::now() + SEND_LIMIT).map_err(SourceError::Lost)?;
        while self.skip_frame(deadline)? != b'Z' {}
        Ok(())
    }
}

fn request(key: &[u8]) -> Vec<u8> {
    let length = 8 + key.len() as u32;
    [&length.to_be_bytes(), &CANCEL_REQUEST.to_be_bytes(), key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_process_and_its_secret() {
        let CancelKey(key) = key(&[0, 0, 0, 7, 1, 2, 3, 4]).unwrap();
        assert_eq!(request(&key), [0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 7, 1, 2, 3, 4]);
        assert_eq!(super::key(&[0, 0, 0, 7]), None);
    }
}
