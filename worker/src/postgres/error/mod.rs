//! Errors between this worker and PostgreSQL, and the one place that maps them to a [`Fault`].

mod server;
mod slot;
mod stream;

use std::io;

use crds::Reason;

use self::{server::server_fault, slot::publication_missing, stream::stream_fault};
pub(super) use self::{
    server::{ServerError, missing_on_standby},
    slot::{behind, gap, set_back, slot_in_use, slot_lost},
    stream::{invalid_text, is_invalid_text},
};
use super::{pgoutput::Malformed, route::Contradiction};
use crate::{
    config::SourceConfig,
    fault::{Fault, Part},
    lsn::Lsn,
};

/// An error at the source. It contains no row values and no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("no connection")]
    Unreachable(#[source] io::Error),
    #[error("connection lost")]
    Lost(#[source] io::Error),
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("no login: {0}")]
    Authentication(String),
    #[error("{0}")]
    Server(ServerError),
    /// The server ended the stream with an error.
    #[error("{0}")]
    Stream(ServerError),
    /// A component between this worker and the server keeps a setting from the session.
    #[error("{0}")]
    SettingsIgnored(String),
    #[error("not PostgreSQL's protocol: {0}")]
    Protocol(String),
    /// The slot, or the WAL that it needs, is lost.
    #[error("slot lost: {0}")]
    SlotLost(String),
    /// It cannot be proven that no change is missing.
    #[error("gap: {0}")]
    Gap(String),
    /// Another session moved the slot after its check and before the stream: it has to be checked again.
    #[error("slot moved to {0}")]
    Moved(Lsn),
    /// A row of this many bytes does not fit the memory limit.
    #[error("a row of {0} bytes")]
    LargeRow(u64),
    /// A fault that this worker detected itself, with its remedy.
    #[error("{0}")]
    Found(Box<Fault>),
}

impl SourceError {
    pub(super) fn protocol(problem: impl Into<String>) -> Self {
        Self::Protocol(problem.into())
    }

    /// The SQLSTATE of an error that the server sent.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) | Self::Stream(error) => Some(&error.code),
            _ => None,
        }
    }

    /// The publication does not exist at the point of the WAL that is decoded.
    pub(super) fn is_missing_publication(&self) -> bool {
        matches!(self, Self::Server(error) | Self::Stream(error) if error.code == "42704" && error.routine == "get_publication_oid")
    }

    pub(super) fn fault(self, config: &SourceConfig) -> Fault {
        let at = format!("{}:{}", config.host, config.port);
        match self {
            Self::Unreachable(error) => source_retry(
                Reason::SourceUnreachable,
                format!("PostgreSQL at {at} cannot be reached: {error}"),
                "check host and port, that the server runs, and that firewalls and network policies let this worker through",
            ),
            Self::Lost(error) => source_retry(
                Reason::SourceUnreachable,
                format!("the connection to PostgreSQL at {at} was lost: {error}"),
                "nothing, if it comes back by itself; else check that the server runs and can be reached",
            ),
            Self::Tls(problem) => source_retry(
                Reason::SourceTlsFailed,
                format!("TLS to PostgreSQL at {at} failed: {problem}"),
                "give the authority that signed the server's certificate, or choose another TLS mode",
            ),
            Self::Authentication(problem) => source_retry(
                Reason::SourceAuthenticationFailed,
                format!("PostgreSQL at {at} did not let user {} in: {problem}", config.user),
                "let the role log in by SCRAM-SHA-256 and check user and password",
            ),
            Self::Protocol(problem) => source_retry(
                Reason::SourceProtocolViolation,
                format!("the server at {at} does not follow PostgreSQL's protocol: {problem}"),
                "check that host and port are those of the PostgreSQL server itself, not of a pooler or proxy",
            ),
            Self::SlotLost(problem) => slot_lost(config, &problem),
            Self::Gap(problem) => gap(config, &problem),
            Self::Moved(lsn) => slot_in_use(config, &format!("another session has moved it to {lsn}")),
            Self::SettingsIgnored(setting) => source_retry(
                Reason::SourceSettingsIgnored,
                format!("the session at {at} does not have the requested settings: {setting}"),
                "give the address of the PostgreSQL server itself: a connection pooler, or a trigger at login, sets it otherwise",
            ),
            Self::Server(_) | Self::Stream(_) if self.is_missing_publication() => publication_missing(config),
            Self::Stream(error) => stream_fault(&error, config),
            Self::Server(error) => server_fault(&error, config),
            Self::LargeRow(bytes) => source_retry(
                Reason::RowTooLarge,
                format!(
                    "a row is {} MiB large, which the memory limit of the worker does not allow",
                    bytes >> 20
                ),
                "give the worker more memory (worker.resources.limits.memory)",
            ),
            Self::Found(fault) => *fault,
        }
    }
}

impl From<Fault> for SourceError {
    fn from(fault: Fault) -> Self {
        Self::Found(Box::new(fault))
    }
}

impl From<Malformed> for SourceError {
    fn from(malformed: Malformed) -> Self {
        Self::Protocol(malformed.to_string())
    }
}

impl From<Contradiction> for SourceError {
    fn from(contradiction: Contradiction) -> Self {
        Self::Protocol(contradiction.to_string())
    }
}

fn source_retry(reason: Reason, message: impl Into<String>, fix: impl Into<String>) -> Fault {
    Fault::retry(Part::Source, reason, message, fix)
}

/// A fault of the whole source that a person has to resolve.
pub(super) fn halt(reason: Reason, message: impl Into<String>, fix: impl Into<String>) -> Fault {
    Fault::halt(Part::Source, reason, message, fix)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        config::{Secret, TlsConfig, TlsMode},
        table::TableName,
    };

    pub(crate) fn config() -> SourceConfig {
        SourceConfig {
            host: "db.example".into(),
            port: 5432,
            database: "app".into(),
            user: "repl".into(),
            password: Secret::new("hunter2"),
            tls: TlsConfig { mode: TlsMode::Disable, ca_file: None },
            slot: "orders".into(),
            on_lost: Default::default(),
            catch_up: None,
            whole_rows: false,
            claims: Vec::new(),
            publication: "orders_pub".into(),
            tables: vec![TableName { schema: "public".into(), name: "orders".into() }],
            copy_memory: None,
        }
    }

    #[test]
    fn a_missing_publication_is_told_from_a_missing_slot() {
        for (routine, missing) in [("get_publication_oid", true), ("ReplicationSlotAcquire", false)] {
            let error =
                ServerError { code: "42704".into(), routine: routine.into(), ..ServerError::default() };
            assert_eq!(SourceError::Server(error).is_missing_publication(), missing, "{routine}");
        }
    }
}
