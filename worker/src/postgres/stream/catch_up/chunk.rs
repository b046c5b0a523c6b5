//! Reads one chunk: the server decodes it whole, and then sends it as the rows of one COPY.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use super::{CatchUp, TICK};
use crate::{
    lsn::Lsn,
    postgres::{
        error::SourceError,
        sql,
        stream::{Reader, frame_buffer::FrameBuffer},
    },
};

/// WAL per chunk: most of it may not be published, and then the chunk's end would stay unknown for long.
const LONGEST_CHUNK: u64 = 1 << 30;
/// Limit for decoding a chunk; a transaction is never split, however large.
const DECODE_LIMIT: Duration = Duration::from_secs(3600);

/// How the read of a chunk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    Read,
    /// The server did not come to its end in time.
    TooSlow,
    /// The chunk was left in the middle, because the reader is to stop.
    Left,
}

impl CatchUp<'_> {
    pub(super) fn read_chunk(&mut self, copy: &str) -> Result<Chunk, SourceError> {
        let until = Lsn(self.copy.confirmed.0.saturating_add(LONGEST_CHUNK));
        let command = chunk_command(copy, &self.reader.config.publication, until, self.chunk);
        let (begun, reader) = (Instant::now(), &*self.reader);
        let is_wanted = || reader.wants_to_read() && begun.elapsed() < DECODE_LIMIT;
        if !self.connection.start_copy_out(&reader.config, &command, is_wanted)? {
            return Ok(if self.reader.wants_to_read() { Chunk::TooSlow } else { Chunk::Left });
        }
        let mut frames = FrameBuffer::copying(self.connection.take_inbox());
        let ended = self.take_chunk(&mut frames);
        // Also after an error: routed events are not requested again.
        self.send_block(&mut frames);
        ended
    }

    fn take_chunk(&mut self, frames: &mut FrameBuffer) -> Result<Chunk, SourceError> {
        loop {
            let heard = self.reader.digest(frames)?;
            if frames.is_full() {
                self.send_block(frames);
            }
            if heard.ended {
                return Ok(Chunk::Read);
            }
            while !self.reader.sender.is_empty() {
                self.reader.sender.wait_for_room(TICK);
                if !self.reader.wants_to_read() {
                    break;
                }
                self.connection.check().map_err(SourceError::Lost)?;
            }
            if !self.reader.wants_to_read() {
                return Ok(Chunk::Left);
            }
            self.read(frames)?;
        }
    }

    fn read(&mut self, frames: &mut FrameBuffer) -> Result<(), SourceError> {
        if frames.awaits_room().is_some() && frames.has_events() {
            // Events before a large row do not wait with it.
            self.send_block(frames);
            return Ok(());
        }
        if !self.reader.admits(frames) {
            return Ok(());
        }
        match self.connection.read(frames.space()) {
            Ok(0) => Err(SourceError::Lost(std::io::Error::from(ErrorKind::UnexpectedEof))),
            Ok(count) => {
                frames.filled(count);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.connection.wait(TICK).map_err(SourceError::Lost)
            }
            Err(error) => Err(SourceError::Lost(error)),
        }
    }

    fn send_block(&mut self, frames: &mut FrameBuffer) {
        let Reader { progress, router, sender, .. } = &mut *self.reader;
        progress.received(router.committed());
        progress.changes_received(router.take_changes());
        if let Some(block) = frames.take() {
            sender.offer(block);
        }
    }
}

/// The next messages of the copy, in the form of the stream, as rows of one binary column.
fn chunk_command(copy: &str, publication: &str, until: Lsn, messages: u32) -> String {
    let (copy, publications) = (sql::literal(copy), sql::literal(&sql::identifier(publication)));
    format!(
        "COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes({copy}, '{until}', {messages}, \
         'proto_version', '1', 'publication_names', {publications})) TO STDOUT (FORMAT binary)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_often_as_they_are_nested() {
        assert_eq!(
            chunk_command("orders", "it's \"p\"", Lsn(16), 7),
            "COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes('orders', '0/10', 7, \
             'proto_version', '1', 'publication_names', '\"it''s \"\"p\"\"\"')) TO STDOUT (FORMAT binary)"
        );
    }
}
