//! Decides whether a command is accepted: by the listen address and the token.
//!
//! | token | address | commands |
//! |---|---|---|
//! | set | any | accepted with `authorization: Bearer TOKEN` |
//! | none | loopback | accepted |
//! | none | any other | refused |
//!
//! Reading (status, health, metrics) needs no token: probes and Prometheus have none.

use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::{ConfigError, ControlToken};

const CLOSED: &str = "this worker takes no commands here: it listens on an address that other machines reach, and has \
                      no token. Name a file that holds one in DBMAZZ_CONTROL_TOKEN_FILE, or listen on 127.0.0.1. A \
                      worker that an earlier operator set up gets its token with its next restart";
const UNKNOWN: &str = "a command needs the job's token, as `authorization: Bearer TOKEN`: in Kubernetes it is in the \
                       Secret dbmazz-JOB-control, standalone it is what DBMAZZ_CONTROL_TOKEN or \
                       DBMAZZ_CONTROL_TOKEN_FILE says";

/// The access rule of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    /// Every request is accepted.
    Open,
    /// A request with the token is accepted.
    Guarded(ControlToken),
    /// Every request is refused.
    Closed,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The command has no token, or a wrong one.
    Unknown(String),
    /// The worker has no token to compare with.
    Closed(String),
}

impl Access {
    pub(super) fn of(address: SocketAddr, token: Option<&ControlToken>) -> Self {
        match token {
            Some(token) => Self::Guarded(token.clone()),
            None if address.ip().is_loopback() => Self::Open,
            None => Self::Closed,
        }
    }

    /// Whether a command with this `authorization` header is accepted.
    pub(super) fn allows(&self, authorization: Option<&[u8]>) -> Result<(), Refusal> {
        let token = match self {
            Self::Open => return Ok(()),
            Self::Closed => return Err(Refusal::Closed(CLOSED.to_owned())),
            Self::Guarded(token) => token.current().map_err(|error| unreadable(&error))?,
        };
        let given = authorization.and_then(bearer).unwrap_or_default();
        is_same(given, token.reveal().as_bytes())
            .then_some(())
            .ok_or_else(|| Refusal::Unknown(UNKNOWN.to_owned()))
    }
}

fn unreadable(error: &ConfigError) -> Refusal {
    Refusal::Closed(format!("this worker takes no commands, because its token cannot be read: {error}"))
}

/// The scheme is case-insensitive (RFC 9110).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Compares in a time that depends neither on how much is equal nor on the expected length.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    Sha256::digest(given).as_slice().ct_eq(Sha256::digest(token).as_slice()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn access(address: &str, token: Option<&str>) -> Access {
        let token = token.map(|token| ControlToken::Value(Secret::new(token)));
        Access::of(address.parse().unwrap(), token.as_ref())
    }

    #[test]
    fn without_a_token_only_loopback_takes_commands() {
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
            assert_eq!(access(address, None).allows(None), Ok(()), "{address}");
        }
        for address in ["0.0.0.0:1", "[::]:1", "10.0.0.7:1", "[::ffff:127.0.0.1]:1"] {
            let refusal = access(address, None).allows(Some(b"Bearer x"));
            assert!(matches!(refusal, Err(Refusal::Closed(_))), "{address}");
        }
    }

    #[test]
    fn with_a_token_nobody_commands_without_it_from_wherever() {
        let given = |text: &str| access("127.0.0.1:1", Some(TOKEN)).allows(Some(text.as_bytes()));
        assert_eq!(given(&format!("Bearer {TOKEN}")), Ok(()));
        assert_eq!(given(&format!("bearer {TOKEN}")), Ok(()));
        for wrong in ["", "Bearer", "Bearer ", TOKEN, &format!("Basic {TOKEN}"), &format!("Bearer {TOKEN}0")]
        {
            assert!(matches!(given(wrong), Err(Refusal::Unknown(_))), "{wrong}");
        }
        assert!(matches!(access("0.0.0.0:1", Some(TOKEN)).allows(None), Err(Refusal::Unknown(_))));
    }

    #[test]
    fn a_token_file_that_is_missing_opens_nothing_and_no_refusal_quotes_a_token() {
        let missing = Access::Guarded(ControlToken::File("/nowhere/token".into()));
        assert!(matches!(missing.allows(Some(b"Bearer ")), Err(Refusal::Closed(_))));
        let refusal = access("0.0.0.0:1", Some(TOKEN)).allows(Some(b"Bearer fedcba9876543210"));
        let told = format!("{refusal:?} {:?}", access("0.0.0.0:1", Some(TOKEN)));
        assert!(!told.contains(TOKEN) && !told.contains("fedcba"), "{told}");
    }
}
