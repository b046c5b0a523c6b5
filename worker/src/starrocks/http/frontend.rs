//! Requests to a StarRocks frontend, and the redirects that it answers with.
//!
//! Only host and port of a `Location` are used.

use std::{net::IpAddr, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::connection::{Connection, Head, WireError};
use crate::config::SinkConfig;

pub(crate) const FRONTEND_TIMEOUT: Duration = Duration::from_secs(30);

/// The address of the frontend, the database and the credentials.
#[derive(Debug, Clone)]
pub(crate) struct Frontend {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    /// The value of the header `Authorization`.
    pub(crate) authorization: String,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Reads a JSON object. A list is none, although serde would take its elements for the fields in their order.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let is_object = body.trim_ascii_start().first() == Some(&b'{');
    is_object.then(|| serde_json::from_slice(body).ok())?
}

/// Why there is no answer, by what that means for the data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
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

/// The host and port of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
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
    pub(crate) fn new(config: &SinkConfig) -> Self {
        let credentials = BASE64_STANDARD.encode(format!("{}:{}", config.user, config.password.reveal()));
        Self { authorization: format!("Basic {credentials}"), ..Self::anonymous(config) }
    }

    /// Without credentials, for pages that need none.
    pub(crate) fn anonymous(config: &SinkConfig) -> Self {
        let (host, port, database) = (config.host.clone(), config.http_port, config.database.clone());
        Self { host, port, database, authorization: String::new() }
    }

    pub(crate) fn address(&self) -> Address {
        Address { host: self.host.clone(), port: self.port }
    }

    /// Sends a request without a body. Only for requests that begin nothing when the server does not answer.
    pub(crate) async fn ask(&self, at: &Address, head: &str) -> Result<(Answer, Head), LoadError> {
        self.ask_within(at, head, FRONTEND_TIMEOUT).await
    }

    pub(crate) async fn ask_within(
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

    /// The server that a `Location` names.
    pub(crate) fn follow(&self, at: &Address, location: &[u8]) -> Result<Address, LoadError> {
        let address = read_address(location).ok_or_else(|| LoadError::BadRedirect { at: at.to_string() })?;
        // All-in-one images register their backend as 127.0.0.1, which is another machine from here.
        let misled = is_loopback(&address.host) && !is_loopback(&self.host);
        Ok(if misled { Address { host: self.host.clone(), ..address } } else { address })
    }
}

/// The `Location` of a redirect; none for any other answer.
pub(crate) fn redirect(head: &Head) -> Option<&[u8]> {
    head.location.as_deref().filter(|_| head.status == 307)
}

/// Reads host and port of `http://host:port/…`.
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

    #[test]
    fn a_list_is_no_answer() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Reply {
            status: String,
        }
        let ok = Some(Reply { status: "OK".to_owned() });
        assert_eq!(object(b" {\"status\": \"OK\"}"), ok);
        for body in [&b"[\"OK\"]"[..], b"\"OK\"", b"", b"{\"status\": 1}"] {
            assert_eq!(object::<Reply>(body), None, "{}", String::from_utf8_lossy(body));
        }
    }

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
