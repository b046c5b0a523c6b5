//! Statements that may take long: whoever waits for one may give it up, and the server then stops working on it.
//!
//! A statement is cancelled on a connection of its own, which says the session's key and nothing else. It goes the way
//! that the session went, by TLS where that did.

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

/// How late it is noticed that nobody waits any more.
const TICK: Duration = Duration::from_millis(100);
/// Until a cancelled statement has ended.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);
/// In the place of a protocol version.
const CANCEL_REQUEST: u32 = (1234 << 16) | 5678;

/// What names a session to the server.
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
    /// Runs one statement for as long as it is wanted; nothing when it was given up. The session can be used on.
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

    /// Runs a COPY TO STDOUT, whose rows the caller reads from the socket itself; `false` when it was given up before
    /// the first.
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

    /// Ends the statement that runs, and whatever it may have answered meanwhile.
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
