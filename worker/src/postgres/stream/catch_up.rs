//! Reads a long backlog round the walsender: chunk by chunk, as fast as the server can decode.
//!
//! ```text
//! copy the slot ─► ┌► read a chunk of the copy ─► slot behind? advance it to what is durable ─► far from the end? ─┐
//!                  └──────────────────────────────────── yes ◄───────────────────────────────────────────────────┘
//!                  no ─► advance the slot, drop the copy ─► stream
//! ```
//!
//! A walsender sends one message at a time and wakes its reader for each; here a whole chunk is decoded
//! and then sent without a pause, and while the server decodes the next, the last is loaded. The rules are those of
//! the stream: whole transactions, in order, and the slot moves only over what is durable. What moves on with every
//! chunk is a copy of the slot, which is this session's own and ends with it. The session that reads the copy is
//! the one that streams afterwards, and it holds the lock of the slot all the time, so there is no moment at which
//! another worker could begin.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use super::{Reader, continuity::identify, gather::Gather};
use crate::{
    change::Block,
    lsn::Lsn,
    postgres::{connection::Connection, error::SourceError, sql},
};

const TICK: Duration = Duration::from_millis(100);
/// Nearer than this a stream is as fast, because a chunk begins with a pause.
const NEAR: u64 = 16 << 20;
/// Messages of a chunk: the server skips again what lies between the copy's restart position and the chunk, so
/// small ones cost it twice, and it keeps a whole one before it sends the first.
const FIRST_CHUNK: u32 = 250_000;
const LARGEST_CHUNK: u32 = 1_000_000;
/// Moving the slot costs the server another look at the WAL.
const BETWEEN_ADVANCES: Duration = Duration::from_secs(10);
/// Until the server has decoded a chunk; a transaction is never cut, however large.
const DECODE_LIMIT: Duration = Duration::from_secs(3600);

pub(super) struct CatchUp<'a> {
    reader: &'a mut Reader,
    connection: Connection,
    chunk: u32,
    advanced: Instant,
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
        Self { reader, connection, chunk: FIRST_CHUNK, advanced: Instant::now() }
    }

    /// Gives the session back for the stream; nothing when it ended in the middle of a chunk.
    pub(super) fn run(mut self) -> Result<Option<Connection>, SourceError> {
        let begun = self.advanced;
        tracing::info!(slot = %self.reader.config.slot, lsn = %self.reader.position(), "catch-up began");
        let copy = self.copy_slot()?;
        let mut last = Chunk::Full;
        while last == Chunk::Full && self.behind()? > NEAR {
            last = self.read_chunk(&copy)?;
            if last == Chunk::Left {
                return Ok(None);
            }
            self.chunk = (self.chunk * 2).min(LARGEST_CHUNK);
            if self.advanced.elapsed() > BETWEEN_ADVANCES {
                self.advance()?;
            }
        }
        if last == Chunk::Last {
            self.pass_on_position(&copy)?;
        }
        // A walsender decodes from there once more.
        self.advance()?;
        self.connection
            .query(&format!("SELECT pg_catalog.pg_drop_replication_slot({})", sql::literal(&copy)))?;
        tracing::info!(slot = %self.reader.config.slot, lsn = %self.reader.position(), elapsed = ?begun.elapsed(), "catch-up ended");
        Ok(Some(self.connection))
    }

    /// A slot for this session alone, from where the reader is.
    fn copy_slot(&mut self) -> Result<String, SourceError> {
        let rows = self.connection.query(&copy_command(&self.reader.config.slot))?;
        let copy = rows.first().map(|row| row.text(0).to_owned());
        let copy = copy.ok_or_else(|| SourceError::protocol("a copied slot has no name"))?;
        // What was handed on may not be durable, and the slot then lies before it.
        let position = self.reader.position();
        self.connection.query(&advance_command(&copy, position))?;
        Ok(copy)
    }

    /// Tells PostgreSQL to forget what is durable.
    fn advance(&mut self) -> Result<(), SourceError> {
        let durable = *self.reader.durable.borrow();
        if durable > self.reader.told {
            self.connection.query(&advance_command(&self.reader.config.slot, durable))?;
            self.reader.told = durable;
            self.reader.progress.confirmed(durable);
        }
        self.advanced = Instant::now();
        Ok(())
    }

    /// Behind the last change there may be WAL of no interest: where the copy is, everything has been sent.
    fn pass_on_position(&mut self, copy: &str) -> Result<(), SourceError> {
        let rows = self.connection.query(&position_query(copy))?;
        if let Some(row) = rows.first() {
            let mut block = Block::builder();
            block.keepalive(row.parse(0)?);
            self.reader.outlet.offer(block.finish());
        }
        Ok(())
    }

    /// Bytes from what was handed on to where the server is.
    fn behind(&mut self) -> Result<u64, SourceError> {
        let server = identify(&mut self.connection)?.flushed;
        Ok(server.0.saturating_sub(self.reader.position().0))
    }

    fn read_chunk(&mut self, copy: &str) -> Result<Chunk, SourceError> {
        let command = chunk_command(copy, &self.reader.config.publication, self.chunk);
        self.connection.start_copy_out(&command, DECODE_LIMIT)?;
        let mut gather = Gather::copying(self.connection.take_inbox());
        let ended = self.take_chunk(&mut gather);
        // However it ended: what was routed is not asked for again.
        self.hand_on(&mut gather);
        ended
    }

    fn take_chunk(&mut self, gather: &mut Gather) -> Result<Chunk, SourceError> {
        let mut messages = 0;
        loop {
            let heard = self.reader.digest(gather)?;
            messages += heard.messages;
            if gather.is_full() {
                self.hand_on(gather);
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
            self.read(gather)?;
        }
    }

    fn read(&mut self, gather: &mut Gather) -> Result<(), SourceError> {
        if gather.awaits_room().is_some() && gather.has_events() {
            // What came before a large row does not wait with it.
            self.hand_on(gather);
            return Ok(());
        }
        if !self.reader.admits(gather) {
            return Ok(());
        }
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

/// A copy that PostgreSQL drops when the session ends, in whatever way.
fn copy_command(slot: &str) -> String {
    let slot = sql::literal(slot);
    format!(
        "SELECT slot_name FROM pg_catalog.pg_copy_logical_replication_slot({slot}, \
         'dbmazz_catch_up_' || pg_catalog.pg_backend_pid(), true)"
    )
}

fn advance_command(slot: &str, lsn: Lsn) -> String {
    format!("SELECT pg_catalog.pg_replication_slot_advance({}, '{lsn}')", sql::literal(slot))
}

fn position_query(slot: &str) -> String {
    let slot = sql::literal(slot);
    format!("SELECT confirmed_flush_lsn FROM pg_catalog.pg_replication_slots WHERE slot_name = {slot}")
}

/// The next messages of the copy, in the form of the stream, as rows of one binary column.
fn chunk_command(copy: &str, publication: &str, messages: u32) -> String {
    let (copy, publications) = (sql::literal(copy), sql::literal(&sql::identifier(publication)));
    format!(
        "COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes({copy}, NULL, {messages}, \
         'proto_version', '1', 'publication_names', {publications})) TO STDOUT (FORMAT binary)"
    )
}

/// Whether the server cannot do what catch-up asks for, so that asking again is in vain.
pub(super) fn is_refusal(code: &str) -> bool {
    matches!(code, "0A000" | "42501" | "55000") || code.starts_with("53")
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
            chunk_command("orders", "it's \"p\"", 7),
            "COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes('orders', NULL, 7, \
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

    #[test]
    fn a_want_of_slots_or_rights_is_a_refusal_and_a_cut_session_is_none() {
        assert!(["53400", "53100", "42501"].iter().all(|code| is_refusal(code)));
        assert!(!["57P01", "55006", "42704", "XX000"].iter().any(|code| is_refusal(code)));
    }
}
