//! Reads a long backlog without a walsender: chunk by chunk through SQL, as fast as the server can decode.
//!
//! ```text
//! copy the slot ─► ┌► read a chunk of the copy ─► frees WAL? advance the slot to what is durable ─► far from the end? ─┐
//!                  └──────────────────────────────────── yes ◄───────────────────────────────────────────────────┘
//!                  no ─► advance the slot, drop the copy ─► stream
//! ```
//!
//! A walsender sends one message at a time and wakes its reader for each. Here the server decodes a whole chunk and then
//! sends it without a pause; while it decodes the next chunk, the last one is loaded. The rules are those of the
//! stream: whole transactions, in order, and the slot advances only over what is durable. A temporary copy of the slot,
//! which the session owns and which ends with it, advances with every chunk. The session that reads the copy streams
//! afterwards, and holds the lock on the slot all the time, so another worker cannot begin in between.
//!
//! For every chunk the server decodes again from the copy's restart position to the chunk. A transaction that is open
//! for long holds that position back, so then the backlog is streamed.

mod chunk;
pub(super) mod decision;

use std::time::{Duration, Instant};

use self::{
    chunk::Chunk,
    decision::{MOST_DECODED_AGAIN, NEAR},
};
use super::Reader;
use crate::{
    change::Block,
    lsn::Lsn,
    postgres::{
        connection::{Connection, Row},
        error::SourceError,
        server::identify,
        sql,
    },
};

const TICK: Duration = Duration::from_millis(100);
/// Messages per chunk: the server decodes again what lies between the copy's restart position and the chunk, so small
/// chunks cost more, and it holds a whole chunk before it sends the first message.
const FIRST_CHUNK: u32 = 250_000;
const LARGEST_CHUNK: u32 = 1_000_000;
/// Advancing the slot makes the server read the WAL again: it may take at most a tenth of the time.
const BETWEEN_ADVANCES: Duration = Duration::from_secs(10);
const SHARE_OF_ADVANCES: u32 = 10;
/// Limit for advancing a slot, for which the server decodes the WAL in between.
const ADVANCE_LIMIT: Duration = Duration::from_secs(60);
/// Where the server supports it, makes it end the work of a session whose client is gone.
const WATCH_THE_SOCKET: &str = "SELECT pg_catalog.set_config(name, '5s', false) FROM pg_catalog.pg_settings \
                                WHERE name = 'client_connection_check_interval'";

/// How catch-up ended.
pub(super) enum Ended {
    /// The stream continues in the same session.
    Near(Connection),
    /// The server needs too long, or decodes too much repeatedly.
    TooSlow(Connection),
    /// The session ended in the middle of a chunk, because the reader is to stop.
    Left,
}

pub(super) struct CatchUp<'a> {
    reader: &'a mut Reader,
    connection: Connection,
    chunk: u32,
    /// Positions of the slot itself, and of its copy.
    slot: Place,
    copy: Place,
    advanced: Instant,
    between_advances: Duration,
}

/// The position of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The server decodes from here.
    pub(super) restart: Lsn,
    /// Transactions that committed before are not sent any more.
    pub(super) confirmed: Lsn,
}

impl Place {
    fn decoded_again(self) -> u64 {
        self.confirmed.0.saturating_sub(self.restart.0)
    }
}

impl<'a> CatchUp<'a> {
    /// `slot` is the current position of the slot.
    pub(super) fn new(reader: &'a mut Reader, connection: Connection, slot: Place) -> Self {
        let (advanced, between_advances) = (Instant::now(), BETWEEN_ADVANCES);
        Self { reader, connection, chunk: FIRST_CHUNK, slot, copy: slot, advanced, between_advances }
    }

    /// Returns the session for the stream, unless it ended in the middle of a chunk.
    pub(super) fn run(mut self) -> Result<Ended, SourceError> {
        let begun = self.advanced;
        tracing::info!(slot = %self.reader.config.slot, lsn = %self.reader.position(), "catch-up began");
        self.watch_the_socket()?;
        let copy = self.copy_slot()?;
        let mut last = self.move_copy_to_position(&copy)?;
        while last == Chunk::Read && self.behind()? > NEAR && self.copy.decoded_again() <= MOST_DECODED_AGAIN
        {
            last = self.read_chunk(&copy)?;
            self.chunk = (self.chunk * 2).min(LARGEST_CHUNK);
            if last == Chunk::Read {
                self.pass_on_position(&copy)?;
                self.advance_now_and_then()?;
            }
        }
        if last == Chunk::Left {
            return Ok(Ended::Left);
        }
        // A walsender decodes from there once more.
        self.advance()?;
        self.connection
            .query(&format!("SELECT pg_catalog.pg_drop_replication_slot({})", sql::literal(&copy)))?;
        tracing::info!(slot = %self.reader.config.slot, lsn = %self.reader.position(), elapsed = ?begun.elapsed(), "catch-up ended");
        let is_near = last == Chunk::Read && self.copy.decoded_again() <= MOST_DECODED_AGAIN;
        Ok(if is_near { Ended::Near(self.connection) } else { Ended::TooSlow(self.connection) })
    }

    /// Lets the server notice during a chunk that this worker is gone.
    fn watch_the_socket(&mut self) -> Result<(), SourceError> {
        match self.connection.query(WATCH_THE_SOCKET) {
            // Not every platform of a server supports it.
            Err(SourceError::Server(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Creates a temporary copy of the slot for this session, at the slot's position.
    fn copy_slot(&mut self) -> Result<String, SourceError> {
        let rows = self.connection.query(&copy_command(&self.reader.config.slot))?;
        let copy = rows.first().map(|row| row.text(0).to_owned());
        copy.ok_or_else(|| SourceError::protocol("a copied slot has no name"))
    }

    /// Advances the copy to the position that was passed on, which may be ahead of the durable one and so of the slot.
    fn move_copy_to_position(&mut self, copy: &str) -> Result<Chunk, SourceError> {
        let position = self.reader.position();
        if position <= self.copy.confirmed {
            return Ok(Chunk::Read);
        }
        let moved = self.run_within(&advance_command(copy, position), ADVANCE_LIMIT)?;
        self.copy.confirmed = position;
        Ok(match moved {
            Some(_) => Chunk::Read,
            None if self.reader.wants_to_read() => Chunk::TooSlow,
            None => Chunk::Left,
        })
    }

    /// Runs a statement that may take long; `None` when it took too long, or the reader is to stop.
    fn run_within(&mut self, sql: &str, limit: Duration) -> Result<Option<Vec<Row>>, SourceError> {
        let (begun, reader) = (Instant::now(), &*self.reader);
        self.connection.query_while(&reader.config, sql, || reader.wants_to_read() && begun.elapsed() < limit)
    }

    fn advance_now_and_then(&mut self) -> Result<(), SourceError> {
        if self.advanced.elapsed() > self.between_advances { self.advance() } else { Ok(()) }
    }

    /// Confirms the durable position by advancing the slot, where that frees WAL: the server decodes for it from the
    /// slot's restart position on, and that advances only as far as the copy's has.
    fn advance(&mut self) -> Result<(), SourceError> {
        let durable = *self.reader.durable.borrow();
        self.advanced = Instant::now();
        let frees = self.copy.restart.0.saturating_sub(self.slot.restart.0);
        if durable <= self.reader.confirmed || frees < NEAR {
            return Ok(());
        }
        let slot = self.reader.config.slot.clone();
        if self.run_within(&advance_command(&slot, durable), ADVANCE_LIMIT)?.is_some() {
            self.reader.confirmed = durable;
            self.reader.progress.confirmed(durable);
            self.slot = place(&mut self.connection, &slot)?;
        }
        self.between_advances = BETWEEN_ADVANCES.max(self.advanced.elapsed() * SHARE_OF_ADVANCES);
        Ok(())
    }

    /// Passes on the position of the copy: everything before it has been sent, also where the WAL has no published changes.
    fn pass_on_position(&mut self, copy: &str) -> Result<(), SourceError> {
        let read = self.copy.confirmed;
        self.copy = place(&mut self.connection, copy)?;
        if self.copy.confirmed <= read {
            return Err(SourceError::protocol("a chunk did not move its slot"));
        }
        let mut block = Block::builder();
        block.keepalive(self.copy.confirmed);
        self.reader.sender.offer(block.finish());
        Ok(())
    }

    /// Bytes from the position of the copy to the end of the server's WAL.
    fn behind(&mut self) -> Result<u64, SourceError> {
        let server = identify(&mut self.connection)?.flushed;
        Ok(server.0.saturating_sub(self.copy.confirmed.0))
    }
}

/// The current position of a slot.
pub(super) fn place(connection: &mut Connection, slot: &str) -> Result<Place, SourceError> {
    let slot = sql::literal(slot);
    let rows = connection.query(&format!(
        "SELECT restart_lsn, confirmed_flush_lsn FROM pg_catalog.pg_replication_slots WHERE slot_name = {slot}"
    ))?;
    let row = rows.first().ok_or_else(|| SourceError::SlotLost("it does not exist any more".to_owned()))?;
    Ok(Place { restart: row.parse(0)?, confirmed: row.parse(1)? })
}

/// A temporary copy, which PostgreSQL drops when the session ends, in any way.
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
