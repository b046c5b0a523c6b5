//! Reads `COPY … TO STDOUT`, row by row, from the bytes as they come: nothing is copied or allocated per row.
//!
//! The server tells the length of a row before its bytes, so one that is larger than asked for is refused unread.

use std::{
    ops::{ControlFlow, Range},
    time::Instant,
};

use postgres_protocol::message::frontend;

use super::{Connection, QUERY_LIMIT, ROW_LIMIT, answer::server_error, frame, unexpected};
use crate::postgres::error::SourceError;

/// Bytes that are read at once.
const READ: usize = 64 << 10;
/// A buffer that one large row has made larger than this is given back.
const KEPT: usize = 1 << 20;

/// The next frame of the server.
enum Frame {
    /// Its tag, the place of its body, and its length.
    Whole(u8, Range<usize>, usize),
    /// Its length, as far as that is known.
    Part(usize),
}

impl Connection {
    /// Runs `COPY … TO STDOUT` and passes each row, as the server writes it, to `take` until it breaks. Returns whether
    /// all rows were passed; if not, or after an error, the session must not be used any more.
    pub(in crate::postgres) fn copy_out(
        &mut self,
        sql: &str,
        largest: u64,
        mut take: impl FnMut(&[u8]) -> Result<ControlFlow<()>, SourceError>,
    ) -> Result<bool, SourceError> {
        self.write(|bytes| frontend::query(sql, bytes))?;
        let mut from = 0;
        let mut refused = None;
        loop {
            let (tag, body, length) = match self.frame_at(from)? {
                Frame::Whole(tag, body, length) => (tag, body, length),
                Frame::Part(length) if length as u64 > largest => {
                    return Err(SourceError::LargeRow(length as u64));
                }
                Frame::Part(length) => {
                    self.make_room(&mut from, length);
                    self.read_more()?;
                    continue;
                }
            };
            let body = self.inbox.get(body).unwrap_or_default();
            match tag {
                b'd' if refused.is_none() => {
                    if take(body)?.is_break() {
                        return Ok(false);
                    }
                }
                b'E' => refused = Some(server_error(body)?),
                b'Z' => {
                    self.inbox.drain(..from + length);
                    return refused.map_or(Ok(true), |error| Err(SourceError::Server(error)));
                }
                b'd' | b'H' | b'c' | b'C' | b'N' | b'S' | b'A' => {}
                _ => return Err(unexpected(tag)),
            }
            from += length;
        }
    }

    fn frame_at(&self, from: usize) -> Result<Frame, SourceError> {
        let rest = self.inbox.get(from..).unwrap_or_default();
        Ok(match frame::split(rest, frame::STREAM_BYTES)? {
            frame::Split::Whole { tag, body, length } => {
                Frame::Whole(tag, from + body.start..from + body.end, length)
            }
            frame::Split::Part { length } => Frame::Part(length.unwrap_or_default()),
        })
    }

    /// Removes the frames before `from`, which were read, and makes room for one of `length` bytes.
    fn make_room(&mut self, from: &mut usize, length: usize) {
        self.inbox.drain(..std::mem::take(from));
        if length > KEPT {
            // Twice as much would be reserved otherwise.
            self.inbox.reserve_exact((length + READ).saturating_sub(self.inbox.len()));
        } else if self.inbox.capacity() > KEPT && self.inbox.len() < KEPT / 2 {
            self.inbox.shrink_to(KEPT);
        }
    }

    fn read_more(&mut self) -> Result<(), SourceError> {
        let held = self.inbox.len();
        self.inbox.resize(held + READ, 0);
        // The first row may come late: the server has to pass rows that are filtered out.
        let limit = Instant::now() + ROW_LIMIT.max(QUERY_LIMIT);
        let into = self.inbox.get_mut(held..).unwrap_or_default();
        let count = self.socket.read_within(into, limit);
        self.inbox.truncate(held + count.as_ref().copied().unwrap_or(0));
        count.map(|_| ()).map_err(SourceError::Lost)
    }
}
