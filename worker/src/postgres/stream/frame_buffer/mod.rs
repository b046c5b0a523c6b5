//! Collects the bytes of the socket into blocks: routes whole frames, and carries an incomplete one over.
//!
//! The bytes are read directly into the block and are not moved. A block grows with the bytes that have arrived and
//! never by a length that a frame claims: for a frame of 1 GiB the block doubles as the bytes arrive.

mod envelope;

use std::time::{Duration, Instant};

use self::envelope::{CopyData, Envelope};

use crate::{
    change::{Block, BlockBuilder},
    fault::Fault,
    lsn::Lsn,
    postgres::{
        connection::{STREAM_BYTES, Split, server_error, split},
        error::SourceError,
        pgoutput,
        route::{Routed, Router},
    },
    table::Table,
};

/// A block of this size is passed on.
const FULL: usize = 128 << 10;
/// With room for bytes that a read returns beyond that.
const LARGEST: usize = FULL + (64 << 10);
const SMALLEST: usize = 16 << 10;
/// A larger frame is read only after the admission check.
const LARGE_FRAME: usize = 4 << 20;
/// The least room to read into.
const LEAST_SPACE: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct FrameBuffer {
    builder: BlockBuilder,
    /// Bytes that were read; beyond them the block's bytes are room to read into.
    filled: usize,
    /// Bytes of whole frames that were routed.
    routed: usize,
    /// The claimed length of the incomplete frame.
    pending: usize,
    /// The incomplete frame has passed the admission check.
    admitted: bool,
    /// Bytes still to come of a frame that is left out.
    left_out: usize,
    first_event: Option<Instant>,
    /// Bytes of the last block: in full flow a block begins with room for all that it will hold.
    expected: usize,
    envelope: Envelope,
}

/// What the frames contained besides changes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameEvents {
    /// The furthest position that was sent.
    pub(super) received: Lsn,
    /// The server wants a status update now.
    pub(super) asked: bool,
    pub(super) messages: u64,
    /// The session is ready for the next statement.
    pub(super) ended: bool,
    /// The next frame cannot be routed before a catalogue query.
    pub(super) wants_a_look: bool,
}

impl FrameEvents {
    /// The events of both, `self` first.
    pub(super) fn and(self, next: Self) -> Self {
        Self {
            received: self.received.max(next.received),
            asked: self.asked | next.asked,
            messages: self.messages + next.messages,
            ended: next.ended,
            wants_a_look: next.wants_a_look,
        }
    }
}

impl FrameBuffer {
    /// A buffer that starts with `bytes`, which were read before the stream began.
    pub(super) fn starting_with(bytes: Vec<u8>) -> Self {
        let filled = bytes.len();
        let mut builder = BlockBuilder::default();
        *builder.bytes_mut() = bytes;
        Self {
            builder,
            filled,
            routed: 0,
            pending: 0,
            admitted: false,
            left_out: 0,
            first_event: None,
            expected: 0,
            envelope: Envelope::Stream,
        }
    }

    /// A buffer for the rows of one COPY.
    pub(super) fn copying(bytes: Vec<u8>) -> Self {
        Self { envelope: Envelope::Copy { headed: false }, ..Self::starting_with(bytes) }
    }

    /// Room to read into, never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if !self.has_events() {
            self.forget_routed();
        }
        let bytes = self.builder.bytes_mut();
        if bytes.len() < self.filled + LEAST_SPACE {
            let most = LARGEST.max(self.routed + self.pending).max(self.filled + LEAST_SPACE);
            let length = (bytes.len() * 2).max(self.expected).clamp(SMALLEST, most.max(SMALLEST));
            bytes.reserve_exact(length.saturating_sub(bytes.len()));
            bytes.resize(length, 0);
        }
        bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// `count` bytes were read into the room.
    pub(super) fn filled(&mut self, count: usize) {
        let dropped = count.min(self.left_out);
        if dropped > 0 {
            let (from, to) = (self.filled + dropped, self.filled + count);
            self.builder.bytes_mut().copy_within(from..to, self.filled);
            self.left_out -= dropped;
        }
        self.filled += count - dropped;
    }

    /// The length of a large frame that has begun and has not passed the admission check.
    pub(super) fn awaits_room(&self) -> Option<usize> {
        let is_known = self.filled - self.routed >= BEGINNING;
        (self.pending > LARGE_FRAME && is_known && !self.admitted).then_some(self.pending)
    }

    /// The large frame may be read.
    pub(super) fn admit(&mut self) {
        self.admitted = true;
    }

    /// There will never be room for the large frame: leaves out its change, and halts its table there. Returns false
    /// when the frame is no change.
    pub(super) fn leave_out(&mut self, router: &mut Router, why: impl FnOnce(&Table) -> Fault) -> bool {
        let begun = self.builder.bytes().get(self.routed + FRAME_HEADER..self.filled).unwrap_or_default();
        let Some(relation) = self.envelope.peek(begun).and_then(pgoutput::relation_of_change) else {
            return false;
        };
        router.leave_out(relation, why, &mut self.builder);
        if self.envelope != Envelope::Stream {
            self.envelope = Envelope::Copy { headed: true };
        }
        self.left_out = self.pending.saturating_sub(self.filled - self.routed);
        (self.filled, self.pending) = (self.routed, 0);
        true
    }

    pub(super) fn is_full(&self) -> bool {
        self.has_events() && self.routed >= FULL
    }

    pub(super) fn has_events(&self) -> bool {
        !self.builder.is_empty()
    }

    /// How long the first event of the block has waited.
    pub(super) fn age(&self) -> Duration {
        self.first_event.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Routes every whole frame.
    pub(super) fn digest(&mut self, router: &mut Router) -> Result<FrameEvents, SourceError> {
        let mut heard = FrameEvents::default();
        loop {
            let unread = self.builder.bytes().get(self.routed..self.filled).unwrap_or_default();
            match split(unread, STREAM_BYTES)? {
                Split::Whole { tag, body, length } => {
                    (self.pending, self.admitted) = (0, false);
                    self.frame(tag, self.routed + body.start..self.routed + body.end, router, &mut heard)?;
                    if heard.wants_a_look {
                        break;
                    }
                    self.routed += length;
                }
                Split::Part { length } => {
                    self.pending = length.unwrap_or_default();
                    break;
                }
            }
        }
        if self.has_events() {
            self.first_event.get_or_insert_with(Instant::now);
        }
        Ok(heard)
    }

    fn frame(
        &mut self,
        tag: u8,
        body: std::ops::Range<usize>,
        router: &mut Router,
        heard: &mut FrameEvents,
    ) -> Result<(), SourceError> {
        let start = body.start;
        let bytes = self.builder.bytes().get(body).unwrap_or_default();
        match tag {
            b'd' => match self.envelope.open(bytes)? {
                CopyData::Wal { lsn, content } => {
                    heard.received = heard.received.max(lsn);
                    let message = pgoutput::decode(content)?;
                    let at = start + bytes.len() - content.len();
                    let routed = router.route(message, at, &mut self.builder)?;
                    heard.wants_a_look = routed == Routed::NotBeforeALook;
                    heard.messages += u64::from(routed == Routed::Done);
                    Ok(())
                }
                CopyData::Trailer => Ok(()),
                CopyData::Keepalive { lsn, asks } => {
                    heard.received = heard.received.max(lsn);
                    heard.asked |= asks;
                    self.builder.keepalive(lsn);
                    Ok(())
                }
            },
            b'E' => Err(SourceError::Server(server_error(bytes)?)),
            b'c' | b'C' if self.envelope != Envelope::Stream => Ok(()),
            b'Z' if self.envelope != Envelope::Stream => {
                heard.ended = true;
                Ok(())
            }
            b'c' | b'C' => Err(SourceError::Lost(std::io::Error::other("the server ended the stream"))),
            b'N' if server_error(bytes).is_ok_and(|notice| notice.routine == "LoadPublications") => {
                // PostgreSQL 18 continues without a publication; earlier versions refuse to.
                Err(SourceError::Gap(
                    "its changes were skipped where the publication did not exist".to_owned(),
                ))
            }
            b'N' | b'S' | b'A' => Ok(()),
            _ => Err(SourceError::protocol(format!("message {:?} in a stream", char::from(tag)))),
        }
    }

    /// Everything routed, as a block; the incomplete frame begins the next one.
    pub(super) fn take(&mut self) -> Option<Block> {
        if !self.has_events() {
            return None;
        }
        let carried = self.builder.bytes().get(self.routed..self.filled).unwrap_or_default().to_vec();
        let bytes = self.builder.bytes_mut();
        bytes.truncate(self.routed);
        // A block of a few changes must not hold the memory of a full one.
        if bytes.capacity() > 2 * bytes.len() {
            bytes.shrink_to_fit();
        }
        let next = Self {
            pending: self.pending,
            admitted: self.admitted,
            left_out: self.left_out,
            expected: self.filled,
            envelope: self.envelope,
            ..Self::starting_with(carried)
        };
        let full = std::mem::replace(self, next);
        Some(full.builder.finish())
    }

    /// What was read and not routed.
    pub(super) fn into_unread(mut self) -> Vec<u8> {
        self.builder.bytes_mut().truncate(self.filled);
        self.builder.bytes_mut().split_off(self.routed.min(self.filled))
    }

    /// Drops routed bytes that no event points into, to make room.
    fn forget_routed(&mut self) {
        if self.routed > 0 {
            self.builder.bytes_mut().copy_within(self.routed..self.filled, 0);
            self.filled -= self.routed;
            self.routed = 0;
        }
    }
}

/// Bytes of a frame that are enough to tell its kind and relation, in any envelope.
const BEGINNING: usize = 64;
/// Tag and length of a frame.
const FRAME_HEADER: usize = 5;

#[cfg(test)]
mod tests;
