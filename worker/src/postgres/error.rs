//! What can go wrong between this worker and PostgreSQL, and the one place that makes a [`Fault`] of it.

use std::io;

use crds::Reason;

use super::{pgoutput::Malformed, route::Contradiction, sql};
use crate::{
    config::SourceConfig,
    fault::{Fault, Part},
    lsn::Lsn,
};

/// What went wrong. Nothing in it is a row value or a credential.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
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
    #[error("not PostgreSQL's protocol: {0}")]
    Protocol(String),
    /// The slot, or the WAL it needs, is gone for good.
    #[error("slot lost: {0}")]
    SlotLost(String),
    /// Nobody can prove that no change is missing.
    #[error("gap: {0}")]
    Gap(String),
    /// Between the judgement of the slot and its stream, others have moved it: it has to be judged again.
    #[error("slot moved to {0}")]
    Moved(Lsn),
    /// Found out by ourselves, with its remedy.
    #[error("{0}")]
    Found(Box<Fault>),
}

/// An ErrorResponse: the fields that a person needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub(super) struct ServerError {
    pub(super) code: String,
    pub(super) message: String,
    /// Where in the server: unlike the message it is the same in every language.
    pub(super) routine: String,
}

impl SourceError {
    pub(super) fn protocol(problem: impl Into<String>) -> Self {
        Self::Protocol(problem.into())
    }

    /// The server's SQLSTATE, when it was the server that refused.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            _ => None,
        }
    }

    /// The publication does not exist at the point of the WAL that is decoded.
    pub(super) fn is_missing_publication(&self) -> bool {
        matches!(self, Self::Server(error) if error.code == "42704" && error.routine == "get_publication_oid")
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
                format!("what answers at {at} does not speak PostgreSQL's protocol as expected: {problem}"),
                "check that host and port are those of the PostgreSQL server itself, not of a pooler or proxy",
            ),
            Self::SlotLost(problem) => slot_lost(config, &problem),
            Self::Gap(problem) => gap(config, &problem),
            Self::Moved(lsn) => slot_in_use(config, &format!("another session has moved it to {lsn}")),
            Self::Server(_) if self.is_missing_publication() => publication_missing(config),
            Self::Server(error) => server_fault(&error, config),
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

/// The server's own words, and what a person can do about them. Unknown means retry.
fn server_fault(error: &ServerError, config: &SourceConfig) -> Fault {
    let SourceConfig { user, database, slot, .. } = config;
    let said = format!("PostgreSQL at {}:{} said: {error}", config.host, config.port);
    match error.code.as_str() {
        "28P01" | "28000" => source_retry(
            Reason::SourceAuthenticationFailed,
            said,
            format!(
                "check user {user} and its password, that the role may log in, and that pg_hba.conf lets it reach database {database}"
            ),
        ),
        "3D000" => source_retry(
            Reason::SourceDatabaseMissing,
            said,
            format!(
                "check the name of the database, or create it: CREATE DATABASE {}",
                sql::identifier(database)
            ),
        ),
        "42501" => source_retry(Reason::SourcePermissionDenied, said, permission_fix(&error.message, config)),
        "53400" => source_retry(
            Reason::SlotsExhausted,
            said,
            "drop replication slots that nobody uses, or raise max_replication_slots and restart the server",
        ),
        "53300" => source_retry(
            Reason::SlotsExhausted,
            said,
            "raise max_wal_senders (or max_connections) and restart the server, or end sessions that nobody uses",
        ),
        "55006" => slot_in_use(config, &error.message),
        "25006" => source_retry(
            Reason::PublicationMissing,
            format!(
                "{said}; this is a standby, and the publication does not publish all of the job's tables"
            ),
            format!(
                "create or complete publication {} on the primary; the standby follows",
                config.publication
            ),
        ),
        "55P03" => source_retry(
            Reason::SourceUnreachable,
            format!("{said}; a long transaction or another session's lock is in the way"),
            "wait for it or end it: SELECT pid, xact_start, query FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start",
        ),
        "08P01" if error.message.contains("startup parameter") => source_retry(
            Reason::SourceProtocolViolation,
            format!("{said}; this looks like a connection pooler"),
            "give the address of the PostgreSQL server itself: replication does not work through a pooler",
        ),
        // Invalidated, or restart WAL removed: what only a new slot mends.
        "55000" | "58P01" if error.message.contains("slot") || error.message.contains("WAL segment") => {
            slot_lost(config, &error.to_string())
        }
        _ => source_retry(
            Reason::SourceUnreachable,
            said,
            format!("look into the log of the PostgreSQL server for application dbmazz {slot}"),
        ),
    }
}

fn permission_fix(message: &str, config: &SourceConfig) -> String {
    let (user, database) = (sql::identifier(&config.user), sql::identifier(&config.database));
    if message.contains("database") {
        format!(
            "run GRANT CREATE ON DATABASE {database} TO {user}, or create publication {} yourself",
            config.publication
        )
    } else if message.contains("must be owner") {
        format!("make {user} the owner, or create publication {} for the tables yourself", config.publication)
    } else {
        format!(
            "run ALTER ROLE {user} REPLICATION (on a managed service grant its replication role, such as rds_replication)"
        )
    }
}

pub(super) fn slot_in_use(config: &SourceConfig, said: &str) -> Fault {
    source_retry(
        Reason::SlotInUse,
        format!("replication slot {} is in use: {said}", config.slot),
        "stop the other consumer of this slot, or give this job a slot of its own; a session of a lost worker ends by itself after wal_sender_timeout",
    )
}

pub(super) fn slot_lost(config: &SourceConfig, problem: &str) -> Fault {
    Fault::halt(
        Part::Source,
        Reason::SlotLost,
        format!("replication slot {} cannot continue: {problem}", config.slot),
        format!(
            "changes are missing, so copy the tables anew and begin again: delete and recreate the job, or run \
             SELECT pg_drop_replication_slot({slot}) if the slot is there, and in StarRocks' target database {}",
            forget(config),
            slot = sql::literal(&config.slot).trim_start(),
        ),
    )
}

pub(super) fn gap(config: &SourceConfig, problem: &str) -> Fault {
    Fault::halt(
        Part::Source,
        Reason::ReplicationGap,
        format!("changes may be missing behind replication slot {}: {problem}", config.slot),
        format!(
            "compare the tables, or copy them anew; then let the job go on from where the slot is by running, in \
             StarRocks' target database, {} (or, if this is another job, give it a slot name of its own)",
            forget(config)
        ),
    )
}

fn publication_missing(config: &SourceConfig) -> Fault {
    source_retry(
        Reason::PublicationMissing,
        format!(
            "publication {} was dropped, and PostgreSQL cannot decode what was written while it was missing",
            config.publication
        ),
        format!(
            "nothing, if no row was written meanwhile: the worker has made it anew; else copy the tables anew and \
             begin again: delete and recreate the job, or run SELECT pg_drop_replication_slot({slot}), and in \
             StarRocks' target database {}",
            forget(config),
            slot = sql::literal(&config.slot).trim_start(),
        ),
    )
}

/// What makes a job one without a past.
fn forget(config: &SourceConfig) -> String {
    let pattern = format!("%-{}", config.slot);
    format!("DELETE FROM dbmazz_jobs WHERE slot LIKE {}", sql::literal(&pattern).trim_start())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        config::{Secret, TlsConfig, TlsMode},
        fault::Course,
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
            catch_up: None,
            whole_rows: false,
            publication: "orders_pub".into(),
            tables: vec![TableName { schema: "public".into(), name: "orders".into() }],
        }
    }

    fn fault(code: &str, message: &str) -> Fault {
        let (code, message) = (code.into(), message.into());
        SourceError::Server(ServerError { code, message, ..ServerError::default() }).fault(&config())
    }

    #[test]
    fn a_sqlstate_becomes_its_reason() {
        let cases = [
            ("28P01", "", Reason::SourceAuthenticationFailed, Course::Retry),
            ("28000", "", Reason::SourceAuthenticationFailed, Course::Retry),
            ("3D000", "", Reason::SourceDatabaseMissing, Course::Retry),
            ("42501", "must be superuser", Reason::SourcePermissionDenied, Course::Retry),
            ("53300", "", Reason::SlotsExhausted, Course::Retry),
            ("53400", "", Reason::SlotsExhausted, Course::Retry),
            ("55006", "", Reason::SlotInUse, Course::Retry),
            ("55000", "cannot read from logical replication slot \"x\"", Reason::SlotLost, Course::Halt),
            ("58P01", "requested WAL segment 01 has already been removed", Reason::SlotLost, Course::Halt),
            (
                "25006",
                "cannot execute CREATE PUBLICATION in a read-only transaction",
                Reason::PublicationMissing,
                Course::Retry,
            ),
            (
                "08P01",
                "unsupported startup parameter: replication",
                Reason::SourceProtocolViolation,
                Course::Retry,
            ),
            ("57P01", "terminating connection", Reason::SourceUnreachable, Course::Retry),
            ("XX000", "anything", Reason::SourceUnreachable, Course::Retry),
        ];
        for (code, message, reason, course) in cases {
            let fault = fault(code, message);
            assert_eq!((fault.reason, fault.course), (reason, course), "{code}");
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

    #[test]
    fn no_fault_tells_the_password() {
        for code in ["28P01", "3D000", "42501", "55006", "08P01", "XX000"] {
            assert!(!fault(code, "said").to_string().contains("hunter2"));
        }
    }
}
