//! The body of a request, read in pieces, with a length or in chunks.

use std::io;

use bytes::BytesMut;

use super::{Connection, Request};

const MAX_CHUNK_LINE: usize = 8192;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client went away in the body")]
    Lost(#[from] io::Error),
    #[error("the chunked body is malformed")]
    Malformed,
}

#[derive(Debug)]
pub(crate) struct Body {
    rest: Rest,
    pub(crate) length: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Rest {
    Bytes(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Done,
}

impl Body {
    pub(crate) fn of(request: &Request) -> Self {
        if request.is_chunked() {
            return Self { rest: Rest::ChunkSize, length: None };
        }
        let length = request.content_length().unwrap_or(0);
        Self { rest: Rest::Bytes(length), length: Some(length) }
    }

    /// The next piece; `None` at the end of the body.
    pub(crate) async fn next(&mut self, connection: &mut Connection) -> Result<Option<BytesMut>, BodyError> {
        loop {
            match self.rest {
                Rest::Done | Rest::Bytes(0) => return Ok(None),
                Rest::Bytes(left) => {
                    let piece = take(connection, left).await?;
                    self.rest = Rest::Bytes(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
                Rest::Chunk(left) => {
                    let piece = take(connection, left).await?;
                    let left = left - piece.len() as u64;
                    self.rest = if left == 0 { Rest::ChunkEnd } else { Rest::Chunk(left) };
                    return Ok(Some(piece));
                }
                Rest::ChunkSize | Rest::ChunkEnd | Rest::Trailer => {
                    self.rest = self.next_line(&line(connection).await?)?;
                }
            }
        }
    }

    fn next_line(&self, line: &[u8]) -> Result<Rest, BodyError> {
        match self.rest {
            Rest::ChunkEnd if line.is_empty() => Ok(Rest::ChunkSize),
            Rest::ChunkEnd => Err(BodyError::Malformed),
            Rest::Trailer if line.is_empty() => Ok(Rest::Done),
            Rest::Trailer => Ok(Rest::Trailer),
            _ => match chunk_size(line).ok_or(BodyError::Malformed)? {
                0 => Ok(Rest::Trailer),
                size => Ok(Rest::Chunk(size)),
            },
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(text, 16).ok()
}

async fn take(connection: &mut Connection, at_most: u64) -> Result<BytesMut, BodyError> {
    if connection.buffer.is_empty() {
        fill(connection).await?;
    }
    let size = usize::try_from(at_most).unwrap_or(usize::MAX).min(connection.buffer.len());
    Ok(connection.buffer.split_to(size))
}

async fn line(connection: &mut Connection) -> Result<BytesMut, BodyError> {
    loop {
        if let Some(end) = memchr::memchr(b'\n', &connection.buffer) {
            let mut line = connection.buffer.split_to(end + 1);
            line.truncate(end);
            let length = line.strip_suffix(b"\r").map_or(end, <[u8]>::len);
            line.truncate(length);
            return Ok(line);
        }
        if connection.buffer.len() > MAX_CHUNK_LINE {
            return Err(BodyError::Malformed);
        }
        fill(connection).await?;
    }
}

async fn fill(connection: &mut Connection) -> Result<(), BodyError> {
    match connection.fill().await? {
        0 => Err(BodyError::Lost(io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(()),
    }
}
