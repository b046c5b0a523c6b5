//! Maps errors of the server to faults, by SQLSTATE.

use crds::Reason;

use super::{
    slot::{slot_in_use, slot_lost},
    source_retry,
};
use crate::{config::SourceConfig, fault::Fault, lsn::Lsn, postgres::sql};

/// The fields of an ErrorResponse that are used.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub(crate) struct ServerError {
    pub(in crate::postgres) code: String,
    pub(in crate::postgres) message: String,
    /// The function of the server that raised the error; unlike the message it is the same in every language.
    pub(in crate::postgres) routine: String,
    /// The change that was being decoded.
    pub(in crate::postgres) lsn: Option<Lsn>,
}

/// A standby lacks a publication, which only its primary can create.
pub(in crate::postgres) fn missing_on_standby(config: &SourceConfig) -> Fault {
    source_retry(
        Reason::PublicationMissing,
        format!(
            "the server at {}:{} is a standby, and publication {} does not publish all of the job's tables",
            config.host, config.port, config.publication
        ),
        format!("create or complete publication {} on the primary; the standby follows", config.publication),
    )
}

/// The server's message, with a remedy. Unknown codes are retried.
pub(super) fn server_fault(error: &ServerError, config: &SourceConfig) -> Fault {
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
        "42501" => source_retry(Reason::SourcePermissionDenied, said, permission_fix(error, config)),
        "53400" => source_retry(
            Reason::SlotsExhausted,
            said,
            "drop replication slots that nobody uses, or raise max_replication_slots and restart the server",
        ),
        "53300" => source_retry(
            Reason::SlotsExhausted,
            said,
            "raise max_wal_senders (or max_connections) and restart the server, raise the connection limit of the role \
             or the database if the message names it, or end sessions that nobody uses",
        ),
        "55006" => slot_in_use(config, &error.message),
        "25006" => source_retry(
            Reason::SourcePermissionDenied,
            format!("{said}; the server allows this session only to read"),
            "on a standby, run on its primary what the message names; on any other server look why sessions can only \
             read although this one asked to write, for example a full disk on a managed service",
        ),
        "22021" | "22P05" => source_retry(
            Reason::SourceEncodingInvalid,
            format!(
                "PostgreSQL at {}:{} cannot convert a text of database {database} to UTF-8 (SQLSTATE {})",
                config.host, config.port, error.code
            ),
            "correct the names of tables, columns, types and labels, or the rows that were asked for: they hold \
             bytes that are not valid in the encoding of the database, or have no form in UTF-8",
        ),
        "42601" => source_retry(
            Reason::SourceProtocolViolation,
            format!("{said}; a command of the replication protocol was not understood"),
            "give the address of the PostgreSQL server itself, not of a connection pooler: it lets sessions begin and \
             keeps from the server that they are for replication",
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
        // Raised where the server checks the requirements of logical decoding.
        "55000" if error.routine == "CheckLogicalDecodingRequirements" => source_retry(
            Reason::WalLevelNotLogical,
            said,
            "run ALTER SYSTEM SET wal_level = logical and restart the server; on a standby, on its primary",
        ),
        // The slot was invalidated, or WAL that it needs was removed: only a new slot helps.
        "55000" | "58P01" if is_lost(error, slot) => slot_lost(config, &error.to_string()),
        _ => source_retry(
            Reason::SourceUnreachable,
            said,
            format!("look into the log of the PostgreSQL server for application dbmazz {slot}"),
        ),
    }
}

/// Whether the error is about the slot, or about WAL that it needs, in any language.
fn is_lost(error: &ServerError, slot: &str) -> bool {
    let named = |text: &str| error.message.contains(text);
    let is_of_wal = matches!(error.routine.as_str(), "WalSndSegmentOpen" | "wal_segment_open" | "XLogRead");
    is_of_wal || named("slot") || named(slot) || named("WAL segment")
}

fn permission_fix(error: &ServerError, config: &SourceConfig) -> String {
    let (user, database) = (sql::identifier(&config.user), sql::identifier(&config.database));
    let (message, is_of_an_object) = (&error.message, error.routine == "aclcheck_error");
    if error.routine == "check_enable_rls" {
        format!("run ALTER ROLE {user} BYPASSRLS, so that no policy hides rows from it")
    } else if message.contains("database") {
        format!(
            "run GRANT CREATE ON DATABASE {database} TO {user}, or create publication {} yourself",
            config.publication
        )
    } else if message.contains("must be owner") {
        format!("make {user} the owner, or create publication {} for the tables yourself", config.publication)
    } else if is_of_an_object {
        format!("grant {user} what the message names; to read rows of a table that is SELECT on it")
    } else {
        format!(
            "run ALTER ROLE {user} REPLICATION (on a managed service grant its replication role, such as rds_replication)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SourceError, tests::config},
        *,
    };
    use crate::fault::Course;

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
            ("25006", "cannot execute CREATE PUBLICATION", Reason::SourcePermissionDenied, Course::Retry),
            ("22P05", "", Reason::SourceEncodingInvalid, Course::Retry),
            ("42601", "syntax error", Reason::SourceProtocolViolation, Course::Retry),
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
    fn a_lost_slot_and_a_missing_right_are_known_in_every_language() {
        let fault = |code: &str, message: &str, routine: &str| {
            let (code, message, routine) = (code.into(), message.into(), routine.into());
            let error = ServerError { code, message, routine, ..ServerError::default() };
            SourceError::Server(error).fault(&config())
        };
        let gone = fault("58P01", "das angeforderte WAL-Segment 01 wurde schon entfernt", "wal_segment_open");
        assert_eq!(gone.reason, Reason::SlotLost);
        let slot = fault("55000", "kann nicht aus »orders« lesen", "CreateDecodingContext");
        assert_eq!(slot.reason, Reason::SlotLost);
        let level = fault("55000", "erfordert wal_level >= logical", "CheckLogicalDecodingRequirements");
        assert_eq!(level.reason, Reason::WalLevelNotLogical);
        let table = fault("42501", "keine Berechtigung für Tabelle t", "aclcheck_error");
        assert!(table.fix.contains("SELECT"), "{table}");
        let policy = fault("42501", "would be affected by row-level security", "check_enable_rls");
        assert!(policy.fix.contains("ALTER ROLE \"repl\" BYPASSRLS"), "{policy}");
    }

    #[test]
    fn no_fault_tells_the_password() {
        for code in ["28P01", "3D000", "42501", "55006", "08P01", "XX000"] {
            assert!(!fault(code, "said").to_string().contains("hunter2"));
        }
    }
}
