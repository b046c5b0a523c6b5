//! The envelope of a message: what a walsender puts around it, or COPY in binary form.

use crate::{
    lsn::Lsn,
    postgres::{cursor::Cursor, error::SourceError},
};

/// The envelope of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Envelope {
    /// XLogData and keepalives of a walsender.
    Stream,
    /// Rows of COPY in binary form, after its header.
    Copy { headed: bool },
}

/// The content of an envelope.
pub(super) enum CopyData<'a> {
    Wal {
        lsn: Lsn,
        content: &'a [u8],
    },
    Keepalive {
        lsn: Lsn,
        asks: bool,
    },
    /// After the last row.
    Trailer,
}

/// Two positions and a clock.
const WAL_HEADER: usize = 24;
/// The number of values and the length of the first.
const ROW_HEADER: usize = 6;

impl Envelope {
    /// The content of a frame of which only the beginning is there.
    pub(super) fn peek<'a>(&self, begun: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Stream => begun.strip_prefix(b"w")?.get(WAL_HEADER..),
            Self::Copy { headed: true } => begun.get(ROW_HEADER..),
            Self::Copy { headed: false } => after_header(begun)?.get(ROW_HEADER..),
        }
    }

    pub(super) fn open<'a>(&mut self, body: &'a [u8]) -> Result<CopyData<'a>, SourceError> {
        let data = match self {
            Self::Stream => read_copy_data(body),
            Self::Copy { headed } => {
                let rows = if std::mem::replace(headed, true) { Some(body) } else { after_header(body) };
                rows.and_then(read_row)
            }
        };
        data.ok_or_else(|| SourceError::protocol("a frame of the stream is malformed"))
    }
}

/// Skips the header: a signature, flags, and the length of an extension that no version has.
fn after_header(body: &[u8]) -> Option<&[u8]> {
    body.strip_prefix(b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0")
}

/// A row of one value, or the end of them.
fn read_row(body: &[u8]) -> Option<CopyData<'_>> {
    let mut cursor = Cursor(body);
    match cursor.u16()? {
        1 => {
            let length = usize::try_from(cursor.i32()?).ok()?;
            (cursor.0.len() == length).then_some(CopyData::Wal { lsn: Lsn(0), content: cursor.0 })
        }
        u16::MAX => cursor.is_empty().then_some(CopyData::Trailer),
        _ => None,
    }
}

fn read_copy_data(body: &[u8]) -> Option<CopyData<'_>> {
    let mut cursor = Cursor(body);
    match cursor.u8()? {
        b'w' => {
            let (start, end, _clock) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
            Some(CopyData::Wal { lsn: Lsn(start.max(end)), content: cursor.0 })
        }
        b'k' => {
            let (lsn, _clock, asks) = (cursor.u64()?, cursor.u64()?, cursor.u8()?);
            cursor.is_empty().then_some(CopyData::Keepalive { lsn: Lsn(lsn), asks: asks == 1 })
        }
        _ => None,
    }
}
