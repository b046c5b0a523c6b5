//! Splits the byte stream into frames: a tag, four bytes of length, the body.

use std::ops::Range;

use crate::postgres::error::SourceError;

/// The longest frame of a stream: a row is below 1 GiB, by PostgreSQL's own limit on a message.
pub(in crate::postgres) const STREAM_BYTES: usize = (1 << 30) + 1024;

const HEADER: usize = 5;

#[derive(Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Split {
    /// A whole frame: the place of its body, and its length.
    Whole { tag: u8, body: Range<usize>, length: usize },
    /// An incomplete frame, with its length if the header is there.
    Part { length: Option<usize> },
}

/// Finds the frame at the front of `bytes`; one of more than `limit` bytes is an error.
pub(in crate::postgres) fn split(bytes: &[u8], limit: usize) -> Result<Split, SourceError> {
    let Some(([tag, length @ ..], _)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(Split::Part { length: None });
    };
    // The length counts itself and not the tag.
    let length = u32::from_be_bytes(*length) as usize + 1;
    if length < HEADER || length > limit {
        return Err(SourceError::protocol(format!("a frame of {length} bytes")));
    }
    if bytes.len() < length {
        return Ok(Split::Part { length: Some(length) });
    }
    Ok(Split::Whole { tag: *tag, body: HEADER..length, length })
}

/// A frame with the body that `fill` writes.
pub(in crate::postgres) fn message(tag: u8, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![tag, 0, 0, 0, 0];
    fill(&mut bytes);
    // Messages of this worker are far below 4 GiB.
    let length = (bytes.len() - 1) as u32;
    bytes.splice(1..HEADER, length.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_at_its_length() {
        let bytes = *b"Q\0\0\0\x0DSELECT 1\0rest";
        let Split::Whole { tag: b'Q', body, length } = split(&bytes, 1000).unwrap() else { panic!() };
        assert_eq!((&bytes[body], &bytes[length..]), (&b"SELECT 1\0"[..], &b"rest"[..]));
    }

    #[test]
    fn a_part_tells_its_length_once_that_is_known() {
        assert_eq!(split(b"Q\0\0\0", 1000).unwrap(), Split::Part { length: None });
        assert_eq!(split(b"Q\0\0\0\x08", 1000).unwrap(), Split::Part { length: Some(9) });
    }

    #[test]
    fn a_length_that_cannot_be_is_an_error() {
        for bytes in [b"Q\0\0\0\x03", b"Q\0\0\0\0", b"Q\xFF\xFF\xFF\xFF", b"Q\0\x01\0\0"] {
            assert!(split(bytes, 1000).is_err());
        }
    }
}
