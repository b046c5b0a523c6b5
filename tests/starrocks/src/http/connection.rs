//! One client connection: reads heads, writes answers, and closes so that the last answer arrives.

use std::{io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Request, Response};

const READ_SIZE: usize = 256 * 1024;
const MAX_HEADERS: usize = 128;
/// A client that sends its body to the FE can send this many bytes and still reads the answer (§3.1).
const LINGER_BYTES: u64 = 4 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);
const HEAD_TIME: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(super) buffer: BytesMut,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("the head of the request is too long")]
    TooLong,
    #[error("the head of the request is not HTTP")]
    Malformed,
    #[error("the client went away")]
    Lost(#[from] io::Error),
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        Self { stream, peer, buffer: BytesMut::new() }
    }

    /// The head of the next request; `None` when the client has closed between requests.
    pub(crate) async fn head(&mut self, limit: usize) -> Result<Option<Request>, HeadError> {
        loop {
            if let Some((request, length)) = parse_head(&self.buffer)? {
                let _ = self.buffer.split_to(length);
                return Ok(Some(request));
            }
            if self.buffer.len() > limit {
                return Err(HeadError::TooLong);
            }
            match tokio::time::timeout(HEAD_TIME, self.fill()).await {
                Err(_) => return Ok(None),
                Ok(Ok(0)) if self.buffer.is_empty() => return Ok(None),
                Ok(Ok(0)) => return Err(HeadError::Malformed),
                Ok(read) => read?,
            };
        }
    }

    /// Reads available bytes into the buffer; 0 means that the client has closed.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_SIZE);
        self.stream.read_buf(&mut self.buffer).await
    }

    pub(crate) async fn send(&mut self, response: &Response) -> io::Result<()> {
        self.send_bytes(&response.bytes()).await
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub(crate) async fn send_continue(&mut self) -> io::Result<()> {
        self.send_bytes(b"HTTP/1.1 100 Continue\r\n\r\n").await
    }

    /// Closes without a reset, which would lose the answer: ends the sending side, then reads what still arrives.
    /// Returns how many bytes came after the head.
    pub(crate) async fn close_gently(mut self) -> u64 {
        let mut taken = self.buffer.len() as u64;
        let _ = self.stream.shutdown().await;
        let drain = async {
            while taken < LINGER_BYTES {
                self.buffer.clear();
                match self.fill().await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => taken += read as u64,
                }
            }
        };
        let _ = tokio::time::timeout(LINGER_TIME, drain).await;
        taken
    }

    /// Closes as in a crash: unread bytes turn the close into a reset.
    pub(crate) fn drop_hard(self) {
        drop(self.stream);
    }
}

fn parse_head(buffer: &[u8]) -> Result<Option<(Request, usize)>, HeadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLong),
        Err(_) => return Err(HeadError::Malformed),
    };
    let headers = parsed.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec()));
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        minor_version: parsed.version.unwrap_or(1),
        headers: headers.collect(),
    };
    Ok(Some((request, length)))
}
