//! One attempt at a load: to the frontend with a head only, to the backend it names with the body.
//!
//! ```text
//! frontend  PUT, Content-Length: 0        ◄ 307, where to
//! backend   PUT, every header             ◄ 100, or the final answer instead of it
//!           the body, piece by piece      ◄ the answer
//! ```
//!
//! The frontend never gets a byte of the body. Of a `Location` only host and port are taken. What comes
//! out is an answer to classify, or what is known of a load that got none.

use std::{net::IpAddr, ops::ControlFlow, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::time::timeout;

use super::{
    body::Body,
    label::Label,
    together,
    wire::{Connection, Head, WireError},
};
use crate::config::SinkConfig;

/// Seconds that StarRocks lets a load take. Short, because what a lost worker left behind may commit
/// until they are over.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(120);
/// StarRocks notices a load that ran out of time within thirty seconds.
const MARGIN: Duration = Duration::from_secs(35);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const FRONTEND_TIMEOUT: Duration = Duration::from_secs(30);
/// A frontend may name its leader, and that a backend.
const MOST_REDIRECTS: usize = 3;
/// Above this StarRocks wants to be told that the size is meant.
const JSON_LIMIT: u64 = 100 * 1024 * 1024;

/// Where StarRocks is, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Frontend {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    /// The value of the header `Authorization`.
    pub(super) authorization: String,
}

/// One load to be sent.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) target: &'a str,
    pub(super) label: &'a Label,
    pub(super) body: &'a Body<'a>,
    pub(super) manner: Manner,
}

/// Whether a load is committed by itself, or is one of a transaction over several tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Alone,
    /// With the time that the transaction was given.
    Within(Duration),
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why no answer came back, by what that means for the data.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("{at} cannot be reached")]
    NotBegun {
        at: String,
        #[source]
        source: WireError,
    },
    #[error("{at} redirects to an address that cannot be followed")]
    BadRedirect { at: String },
    #[error("{at} did not answer")]
    Unanswered {
        at: String,
        #[source]
        source: WireError,
    },
}

/// A server, as the next request finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Frontend {
    pub(super) fn new(config: &SinkConfig) -> Self {
        let credentials = BASE64_STANDARD.encode(format!("{}:{}", config.user, config.password.reveal()));
        Self { authorization: format!("Basic {credentials}"), ..Self::anonymous(config) }
    }

    /// For what needs no credentials.
    pub(super) fn anonymous(config: &SinkConfig) -> Self {
        let (host, port, database) = (config.host.clone(), config.http_port, config.database.clone());
        Self { host, port, database, authorization: String::new() }
    }

    pub(super) fn address(&self) -> Address {
        Address { host: self.host.clone(), port: self.port }
    }

    /// Sends the load once. Dropping the future leaves the outcome open: its label tells.
    pub(super) async fn send(&self, order: &Order<'_>) -> Result<Answer, LoadError> {
        let mut at = self.address();
        let (answer, head) = self.ask(&at, &self.first_head(order, &at)).await?;
        let mut next = match redirect(&head) {
            Some(location) => self.follow(&at, location)?,
            None => return Ok(answer),
        };
        for _ in 1..MOST_REDIRECTS {
            at = next;
            match self.send_whole(order, &at).await? {
                ControlFlow::Break(answer) => return Ok(answer),
                ControlFlow::Continue(location) => next = self.follow(&at, &location)?,
            }
        }
        Err(LoadError::BadRedirect { at: at.to_string() })
    }

    /// A request without a body to a server that has begun nothing when it does not answer.
    pub(super) async fn ask(&self, at: &Address, head: &str) -> Result<(Answer, Head), LoadError> {
        self.ask_within(at, head, FRONTEND_TIMEOUT).await
    }

    pub(super) async fn ask_within(
        &self,
        at: &Address,
        head: &str,
        limit: Duration,
    ) -> Result<(Answer, Head), LoadError> {
        let exchange = async {
            let mut connection = Connection::open(&at.host, at.port).await?;
            connection.send(head.as_bytes()).await?;
            let head = connection.read_head().await?;
            let body = connection.read_body(&head).await?;
            Ok((Answer { status: head.status, body }, head))
        };
        let outcome = timeout(limit, exchange).await.unwrap_or(Err(WireError::TimedOut));
        outcome.map_err(|source| LoadError::NotBegun { at: at.to_string(), source })
    }

    async fn send_whole(
        &self,
        order: &Order<'_>,
        at: &Address,
    ) -> Result<ControlFlow<Answer, Vec<u8>>, LoadError> {
        let opened = timeout(CONNECT_TIMEOUT, Connection::open(&at.host, at.port)).await;
        let not_begun = |source| LoadError::NotBegun { at: at.to_string(), source };
        let mut connection = opened.unwrap_or(Err(WireError::TimedOut)).map_err(not_begun)?;
        let exchange = exchange(&mut connection, self.second_head(order, at), order.body);
        let outcome = timeout(LOAD_TIMEOUT + MARGIN, exchange).await.unwrap_or(Err(WireError::TimedOut));
        outcome.map_err(|source| LoadError::Unanswered { at: at.to_string(), source })
    }

    /// What the frontend needs and no more: it takes 32 KiB of headers, which a wide table's columns pass.
    fn first_head(&self, order: &Order<'_>, at: &Address) -> String {
        format!("{}Content-Length: 0\r\n\r\n", self.common_head(order, at))
    }

    fn second_head(&self, order: &Order<'_>, at: &Address) -> String {
        let (common, body) = (self.common_head(order, at), order.body);
        let (timeout, adds_up) = match order.manner {
            Manner::Alone => (LOAD_TIMEOUT.as_secs(), false),
            Manner::Within(timeout) => (timeout.as_secs(), true),
        };
        let partial = if body.plan().is_partial() { "partial_update: true\r\n" } else { "" };
        let large = if adds_up || body.length() > JSON_LIMIT { "ignore_json_size: true\r\n" } else { "" };
        let (columns, length) = (body.plan().columns(), body.length());
        format!(
            "{common}format: json\r\ncolumns: {columns}\r\nstrict_mode: true\r\nmax_filter_ratio: 0\r\n\
             timeout: {timeout}\r\n{partial}{large}Content-Length: {length}\r\n\r\n"
        )
    }

    fn common_head(&self, order: &Order<'_>, at: &Address) -> String {
        let (database, target, authorization) = (&self.database, order.target, &self.authorization);
        let (path, place) = match order.manner {
            Manner::Alone => (format!("/api/{database}/{target}/_stream_load"), String::new()),
            Manner::Within(_) => {
                ("/api/transaction/load".to_owned(), together::place(database, Some(target)))
            }
        };
        format!(
            "PUT {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: {authorization}\r\n\
             Expect: 100-continue\r\nlabel: {}\r\n{place}",
            order.label
        )
    }

    /// The next server, of which only the address is taken from a `Location`.
    pub(super) fn follow(&self, at: &Address, location: &[u8]) -> Result<Address, LoadError> {
        let address = read_address(location).ok_or_else(|| LoadError::BadRedirect { at: at.to_string() })?;
        // All-in-one images know their backend as 127.0.0.1, which from here is somebody else.
        let misled = is_loopback(&address.host) && !is_loopback(&self.host);
        Ok(if misled { Address { host: self.host.clone(), ..address } } else { address })
    }
}

/// Where an answer sends us instead of answering.
pub(super) fn redirect(head: &Head) -> Option<&[u8]> {
    head.location.as_deref().filter(|_| head.status == 307)
}

/// Gives the answer, or where else to send the load.
async fn exchange(
    connection: &mut Connection,
    head: String,
    body: &Body<'_>,
) -> Result<ControlFlow<Answer, Vec<u8>>, WireError> {
    connection.send(head.as_bytes()).await?;
    let mut head = connection.read_head().await?;
    if head.status == 100 {
        send_body(connection, body).await?;
        head = final_head(connection).await?;
    } else if let Some(location) = redirect(&head) {
        return Ok(ControlFlow::Continue(location.to_vec()));
    }
    let body = connection.read_body(&head).await?;
    Ok(ControlFlow::Break(Answer { status: head.status, body }))
}

async fn send_body(connection: &mut Connection, body: &Body<'_>) -> Result<(), WireError> {
    let (mut next, mut piece) = (body.pieces(), Vec::new());
    loop {
        // A refusal cannot be: the body was checked when it was measured. A short body would not be taken.
        next(&mut piece).map_err(|refusal| std::io::Error::other(refusal.problem))?;
        if piece.is_empty() || connection.send_piece(&piece).await?.is_break() {
            return Ok(());
        }
    }
}

async fn final_head(connection: &mut Connection) -> Result<Head, WireError> {
    loop {
        let head = connection.read_head().await?;
        if head.status >= 200 {
            return Ok(head);
        }
    }
}

/// The host and port of `http://host:port/…`.
fn read_address(location: &[u8]) -> Option<Address> {
    let rest = location.strip_prefix(b"http://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = std::str::from_utf8(&rest[..end]).ok()?;
    let (_, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = authority.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    let usable = !host.is_empty() && host.bytes().all(plain);
    usable.then_some(())?;
    Some(Address { host: host.to_owned(), port: port.parse().ok()? })
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(frontend: &str, location: &str) -> Option<String> {
        let frontend = Frontend {
            host: frontend.to_owned(),
            port: 8030,
            database: String::new(),
            authorization: String::new(),
        };
        frontend.follow(&frontend.address(), location.as_bytes()).ok().map(|address| address.to_string())
    }

    #[test]
    fn only_host_and_port_of_a_location_are_taken_and_loopback_means_the_frontend() {
        for (frontend, location, expected) in [
            ("fe", "http://be-0.be:8040/api/d/t/_stream_load?x=y", Some("be-0.be:8040")),
            ("fe", "http://10.0.0.7:8040", Some("10.0.0.7:8040")),
            ("fe", "http://u:p@be:8040/x", Some("be:8040")),
            ("fe", "http://127.0.0.1:8040/api", Some("fe:8040")),
            ("fe", "http://localhost:8040/api", Some("fe:8040")),
            ("fe", "http://[::1]:8040/api", Some("fe:8040")),
            ("127.0.0.1", "http://127.0.0.2:8040/api", Some("127.0.0.2:8040")),
            ("fe", "http://[fd00::7]:8040/api", Some("[fd00::7]:8040")),
            ("fe", "https://be:8040/api", None),
            ("fe", "http://be/api", None),
            ("fe", "http://:8040/api", None),
            ("fe", "http://b\r\ne:8040/api", None),
            ("fe", "/api/d/t", None),
        ] {
            assert_eq!(followed(frontend, location).as_deref(), expected, "{location}");
        }
    }
}
