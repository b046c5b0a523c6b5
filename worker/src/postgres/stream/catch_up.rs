//! Reads a long backlog round the walsender: chunk by chunk, as fast as the server can decode.
//!
//! ```text
//! ┌► all handed on is durable ─► advance the slot to it ─► near the end? ─► stream
//! └──────────────────────── peek a chunk ◄───────────────── no
//! ```
//!
//! A walsender sends one message at a time and wakes its reader for each; a peek decodes a whole chunk
//! and then sends it without a pause. The rules are those of the stream: whole transactions, in order, and the
//! slot moves only over what is durable. The session that peeks is the one that streams afterwards, and it
//! holds the lock of the slot all the time, so there is no moment at which another worker could begin.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use super::{Reader, continuity::identify, gather::Gather, parked};
use crate::{
    lsn::Lsn,
    postgres::{connection::Connection, error::SourceError, sql},
};

const TICK: Duration = Duration::from_millis(100);
/// Nearer than this a stream is as fast, because a peek begins with a pause.
const NEAR: u64 = 16 << 20;
/// Messages of a chunk: the server decodes from its restart position for each, so small ones cost it twice, and
/// it keeps a whole one before it sends the first.
const FIRST_CHUNK: u32 = 250_000;
const LARGEST_CHUNK: u32 = 1_000_000;
/// When nothing is held any more and the durable position stays behind, a table is halted.
const STUCK: Duration = Duration::from_secs(1);
/// Until the server has decoded a chunk; a transaction is never cut, however large.
const DECODE_LIMIT: Duration = Duration::from_secs(3600);

pub(super) struct CatchUp<'a> {
    reader: &'a mut Reader,
    connection: Connection,
    chunk: u32,
}

/// What a chunk held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Full,
    /// The slot has no more.
    Last,
    /// It was left in the middle: nobody wants more.
    Left,
}

impl<'a> CatchUp<'a> {
    pub(super) fn new(reader: &'a mut Reader, connection: Connection) -> Self {
        Self { reader, connection, chunk: FIRST_CHUNK }
    }

    /// Gives the session back for the stream; nothing when it ended in the middle of a chunk.
    pub(super) fn run(mut self) -> Result<Option<Connection>, SourceError> {
        let begun = Instant::now();
        tracing::info!(slot = %self.reader.config.slot, lsn = %self.reader.position(), "catch-up began");
        let mut last = Chunk::Full;
        // The slot is moved before the stream begins, too: a walsender decodes from there once more.
        while self.until_durable() {
            self.advance()?;
            if last == Chunk::Last || self.behind()? < NEAR {
                break;
            }
            last = self.read_chunk()?;
            if last == Chunk::Left {
                return Ok(None);
            }
            self.chunk = (self.chunk * 2).min(LARGEST_CHUNK);
        }
        tracing::info!(slot = %self.reader.config.slot, lsn = %self.reader.position(), elapsed = ?begun.elapsed(), "catch-up ended");
        Ok(Some(self.connection))
    }

    /// Waits for what was handed on. False when nobody wants more, or a table is halted and it will not come.
    fn until_durable(&mut self) -> bool {
        let mut idle_since = None;
        loop {
            let reader = &mut *self.reader;
            if !reader.outlet.is_empty() {
                reader.outlet.wait_for_room(TICK);
            } else if *reader.durable.borrow_and_update() >= reader.router.committed() {
                return true;
            } else {
                parked::wait_for(reader.durable.changed(), TICK);
            }
            if !reader.wants_to_read() {
                return false;
            }
            let is_idle = reader.outlet.is_empty() && reader.progress.held() == 0;
            let since = idle_since.filter(|_| is_idle).or_else(|| is_idle.then(Instant::now));
            if since.is_some_and(|since: Instant| since.elapsed() > STUCK) {
                return false;
            }
            idle_since = since;
        }
    }

    /// Tells PostgreSQL to forget what is durable.
    fn advance(&mut self) -> Result<(), SourceError> {
        let durable = *self.reader.durable.borrow();
        if durable > self.reader.told {
            let slot = sql::literal(&self.reader.config.slot);
            self.connection
                .query(&format!("SELECT pg_catalog.pg_replication_slot_advance({slot}, '{durable}')"))?;
            self.reader.told = durable;
            self.reader.progress.confirmed(durable);
        }
        Ok(())
    }

    /// Bytes from what was handed on to where the server is.
    fn behind(&mut self) -> Result<u64, SourceError> {
        let server = identify(&mut self.connection)?.flushed;
        Ok(server.0.saturating_sub(self.reader.position().0))
    }

    fn read_chunk(&mut self) -> Result<Chunk, SourceError> {
        let command = peek_command(&self.reader.config.slot, &self.reader.config.publication, self.chunk);
        self.connection.start_copy_out(&command, DECODE_LIMIT)?;
        let mut gather = Gather::copying(self.connection.take_inbox());
        let mut messages = 0;
        loop {
            let heard = self.reader.digest(&mut gather)?;
            messages += heard.messages;
            if gather.is_full() || heard.ended {
                self.hand_on(&mut gather);
            }
            if heard.ended {
                let is_last = messages < u64::from(self.chunk);
                return Ok(if is_last { Chunk::Last } else { Chunk::Full });
            }
            while !self.reader.outlet.is_empty() {
                self.reader.outlet.wait_for_room(TICK);
                if !self.reader.wants_to_read() {
                    break;
                }
            }
            if !self.reader.wants_to_read() {
                return Ok(Chunk::Left);
            }
            self.read(&mut gather)?;
        }
    }

    fn read(&mut self, gather: &mut Gather) -> Result<(), SourceError> {
        match self.connection.read(gather.space()) {
            Ok(0) => Err(SourceError::Lost(std::io::Error::from(ErrorKind::UnexpectedEof))),
            Ok(count) => {
                gather.filled(count);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.connection.wait(TICK).map_err(SourceError::Lost)
            }
            Err(error) => Err(SourceError::Lost(error)),
        }
    }

    fn hand_on(&mut self, gather: &mut Gather) {
        let Reader { progress, router, outlet, .. } = &mut *self.reader;
        progress.received(router.committed());
        progress.changes_received(router.take_changes());
        if let Some(block) = gather.take() {
            outlet.offer(block);
        }
    }
}

/// The next messages of the slot, in the form of the stream, as rows of one binary column.
fn peek_command(slot: &str, publication: &str, messages: u32) -> String {
    let (slot, publications) = (sql::literal(slot), sql::literal(&sql::identifier(publication)));
    format!(
        "COPY (SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes({slot}, NULL, {messages}, \
         'proto_version', '1', 'publication_names', {publications})) TO STDOUT (FORMAT binary)"
    )
}

/// Whether a backlog is long enough for catch-up to pay.
pub(super) fn pays(position: Lsn, server: Lsn, above: Option<u64>) -> bool {
    above.is_some_and(|above| server.0.saturating_sub(position.0) > above.max(NEAR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_often_as_they_are_nested() {
        assert_eq!(
            peek_command("orders", "it's \"p\"", 7),
            "COPY (SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes('orders', NULL, 7, \
             'proto_version', '1', 'publication_names', '\"it''s \"\"p\"\"\"')) TO STDOUT (FORMAT binary)"
        );
    }

    #[test]
    fn only_a_long_backlog_is_caught_up_with_and_only_when_asked_for() {
        let behind = Lsn(1000 + NEAR * 2);
        assert!(pays(Lsn(1000), behind, Some(0)));
        assert!(!pays(Lsn(1000), behind, Some(NEAR * 2)));
        assert!(!pays(Lsn(1000), Lsn(1000 + NEAR), Some(0)));
        assert!(!pays(Lsn(1000), Lsn(u64::MAX), None));
        assert!(!pays(behind, Lsn(1000), Some(0)));
    }
}
