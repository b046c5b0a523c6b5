//! HTTP/1.1 as Stream Load needs it: a head, a wait for `100 Continue`, a body in pieces, an answer at any moment.
//!
//! Hand-written on `httparse`, because the wait decides what is known about a load. Whether the body was begun, whether
//! a final answer came instead of the 100 or during the body, whether the peer closed before or after that: each means
//! something different for the data, and each is a case of its own here. Everything that is read is bounded.

use std::{io, ops::ControlFlow};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LONGEST_HEAD: usize = 64 * 1024;
const LONGEST_BODY: usize = 1024 * 1024;
const MOST_HEADERS: usize = 64;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the peer closed the connection before its answer was complete")]
    Closed,
    #[error("the peer's answer is not HTTP")]
    NotHttp,
    #[error("the peer's answer exceeds the size limit")]
    TooLarge,
    #[error("the peer did not answer in time")]
    TimedOut,
    #[error("the slot lease expired before the rows were sent")]
    LeaseEnded,
}

/// One connection, for one request and its answer.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The status and the headers of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) location: Option<Vec<u8>>,
    extent: Extent,
}

#[derive(Debug, PartialEq, Eq)]
enum Extent {
    Length(usize),
    Chunked,
    UntilClosed,
}

impl Connection {
    pub(crate) async fn open(host: &str, port: u16) -> Result<Self, WireError> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// A connection that has already received these bytes.
    #[cfg(feature = "fuzz")]
    pub(crate) fn having_received(stream: TcpStream, received: Vec<u8>) -> Self {
        Self { stream, received }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Sends a piece of a body. Breaks when the peer answers before the piece is sent.
    pub(crate) async fn send_piece(&mut self, piece: &[u8]) -> Result<ControlFlow<()>, WireError> {
        let (mut reader, mut writer) = self.stream.split();
        let mut rest = piece;
        while !rest.is_empty() {
            tokio::select! {
                biased; // an answer ends the body even when the socket accepts more
                read = reader.read_buf(&mut self.received) => match read? {
                    0 => return Err(WireError::Closed),
                    _ => return Ok(ControlFlow::Break(())),
                },
                written = writer.write(rest) => match written {
                    Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                    // The peer accepts no more bytes, but may have sent an answer.
                    Err(_) => return Ok(ControlFlow::Break(())),
                },
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads the next head, `100 Continue` or final.
    pub(crate) async fn read_head(&mut self) -> Result<Head, WireError> {
        loop {
            if let Some((head, length)) = parse_head(&self.received)? {
                self.received.drain(..length);
                return Ok(head);
            }
            if self.received.len() > LONGEST_HEAD {
                return Err(WireError::TooLarge);
            }
            self.read_more().await?;
        }
    }

    /// Reads the body that follows a final head.
    pub(crate) async fn read_body(&mut self, head: &Head) -> Result<Vec<u8>, WireError> {
        match head.extent {
            Extent::Length(length) => self.take(length).await,
            Extent::UntilClosed => self.read_to_end().await,
            Extent::Chunked => self.read_chunks().await,
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, WireError> {
        if length > LONGEST_BODY {
            return Err(WireError::TooLarge);
        }
        while self.received.len() < length {
            self.read_more().await?;
        }
        Ok(self.received.drain(..length).collect())
    }

    async fn read_to_end(&mut self) -> Result<Vec<u8>, WireError> {
        while self.received.len() <= LONGEST_BODY {
            match self.read_more().await {
                Ok(()) => {}
                Err(WireError::Closed) => return Ok(std::mem::take(&mut self.received)),
                Err(error) => return Err(error),
            }
        }
        Err(WireError::TooLarge)
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>, WireError> {
        let mut body = Vec::new();
        loop {
            let length = self.read_chunk_size().await?;
            if length > LONGEST_BODY || body.len() + length > LONGEST_BODY {
                return Err(WireError::TooLarge);
            }
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&self.take(length).await?);
            self.take(b"\r\n".len()).await?;
        }
    }

    async fn read_chunk_size(&mut self) -> Result<usize, WireError> {
        loop {
            match httparse::parse_chunk_size(&self.received) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.received.drain(..length);
                    return usize::try_from(size).map_err(|_| WireError::TooLarge);
                }
                Ok(httparse::Status::Partial) if self.received.len() <= LONGEST_HEAD => {
                    self.read_more().await?
                }
                Ok(httparse::Status::Partial) => return Err(WireError::TooLarge),
                Err(_) => return Err(WireError::NotHttp),
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), WireError> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(WireError::Closed),
            _ => Ok(()),
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes).map_err(|_| WireError::NotHttp)? else {
        return Ok(None);
    };
    let status = response.code.ok_or(WireError::NotHttp)?;
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    };
    let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
    let extent = match header("content-length") {
        _ if chunked => Extent::Chunked,
        Some(length) => Extent::Length(parse_length(length)?),
        None => Extent::UntilClosed,
    };
    Ok(Some((Head { status, location: header("location").map(<[u8]>::to_vec), extent }, length)))
}

fn parse_length(text: &[u8]) -> Result<usize, WireError> {
    let text = std::str::from_utf8(text).map_err(|_| WireError::NotHttp)?;
    text.trim().parse().map_err(|_| WireError::NotHttp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_its_body_ends() {
        for (text, status, extent) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, Extent::Length(7)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", 200, Extent::Chunked),
            ("HTTP/1.1 502 Bad Gateway\r\n\r\n", 502, Extent::UntilClosed),
        ] {
            let (head, length) = parse_head(text.as_bytes()).unwrap().unwrap();
            assert_eq!((head.status, head.extent, length), (status, extent, text.len()));
        }
    }

    #[test]
    fn a_head_that_is_not_complete_is_waited_for_and_nonsense_is_an_error() {
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nContent-").unwrap().is_none());
        assert!(matches!(parse_head(b"220 mail ready\r\n\r\n"), Err(WireError::NotHttp)));
        assert!(matches!(
            parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
            Err(WireError::NotHttp)
        ));
    }
}
