//! Why a statement failed: what passes by itself, and what a person has to do.

use crds::Reason;

use crate::{
    fault::{Fault, Part},
    starrocks::quote::quotable,
};

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqlError {
    #[error("StarRocks cannot be reached by the MySQL protocol at {at}")]
    Unreachable {
        at: String,
        #[source]
        source: mysql_async::Error,
    },
    #[error("StarRocks did not answer by the MySQL protocol at {at} in time")]
    TimedOut { at: String },
    #[error("StarRocks refused the user or the password")]
    Authentication,
    #[error("StarRocks does not let the user {doing}")]
    Permission { doing: String },
    #[error("did not {doing}: the slot lease has expired")]
    LeaseEnded { doing: String },
    #[error("StarRocks cannot {doing} now (error {code}: {message})")]
    Passing { doing: String, code: u16, message: String, passes: Passes },
    #[error("StarRocks refused to {doing} (error {code}: {message})")]
    Refused { doing: String, code: u16, message: String },
}

/// What has to happen before a valid statement is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passes {
    /// A backend or the frontend has to be reachable again.
    WhenReachable,
    /// Another operation in StarRocks has to end.
    WhenDone,
}

/// Messages of temporary errors; StarRocks reports them with the same error number as permanent ones.
const PASSING: [(&str, Passes); 16] = [
    // CREATE TABLE asks for one replica when it sees at most one backend, so this means that there is none.
    ("Table replication num should be less than", Passes::WhenReachable),
    ("Failed to find enough", Passes::WhenReachable),
    ("Backend node not found", Passes::WhenReachable),
    ("No backend alive", Passes::WhenReachable),
    ("No alive backend", Passes::WhenReachable),
    ("Compute node not found", Passes::WhenReachable),
    ("TException", Passes::WhenReachable),
    ("Connection refused", Passes::WhenReachable),
    ("Connection reset", Passes::WhenReachable),
    ("rpc failed", Passes::WhenReachable),
    ("RpcException", Passes::WhenReachable),
    ("creation timed out", Passes::WhenDone),
    ("schema change", Passes::WhenDone),
    ("SCHEMA_CHANGE", Passes::WhenDone),
    ("not NORMAL", Passes::WhenDone),
    ("is not stable", Passes::WhenDone),
];

impl SqlError {
    pub(in crate::starrocks) fn fault(&self) -> Fault {
        let message = match self {
            // The cause contains no row values and no credentials: it comes from connecting or from the catalogue.
            Self::Unreachable { source, .. } => format!("{self}: {source}"),
            other => other.to_string(),
        };
        let fault = |reason, fix| Fault::retry(Part::Sink, reason, message, fix);
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => fault(
                Reason::SinkUnreachable,
                "see that StarRocks runs and that host and query port are right",
            ),
            Self::Authentication => fault(
                Reason::SinkAuthenticationFailed,
                "give the job the right user and password, or mend them in StarRocks",
            ),
            Self::LeaseEnded { .. } => fault(
                Reason::SlotInUse,
                "nothing, if it passes by itself; else see that only one worker of the job runs",
            ),
            Self::Permission { .. } => {
                fault(Reason::SinkPermissionDenied, "grant the user what it needs on the target database")
            }
            Self::Passing { passes: Passes::WhenReachable, .. } => fault(
                Reason::SinkUnreachable,
                "see that StarRocks' backends are alive; the statement is tried again meanwhile",
            ),
            Self::Passing { passes: Passes::WhenDone, .. } => fault(
                Reason::SinkBusy,
                "wait: the statement is tried again; SHOW ALTER TABLE COLUMN in StarRocks tells what is under way",
            ),
            Self::Refused { .. } => {
                fault(Reason::TargetIncompatible, "mend what StarRocks says is wrong with the target")
            }
        }
    }

    /// The fault of a failed SELECT from `table`, a bookkeeping table.
    pub(in crate::starrocks) fn of_reading(&self, table: &str) -> Fault {
        let fault = self.fault();
        match self {
            // A SELECT needs a backend, and fails with many different messages without one.
            Self::Refused { .. } | Self::Passing { .. } => Fault {
                reason: Reason::SinkUnreachable,
                fix: format!("see that StarRocks' backends are alive, and that the user may read {table}"),
                ..fault
            },
            _ => fault,
        }
    }

    /// Whether another ALTER of the table is in progress.
    pub(in crate::starrocks) fn is_schema_change(&self) -> bool {
        let Self::Passing { message, .. } = self else { return false };
        ["schema change operation is in progress", "SCHEMA_CHANGE"]
            .iter()
            .any(|words| message.contains(words))
    }
}

pub(super) fn classify(error: mysql_async::Error, at: &str, doing: &str) -> SqlError {
    let server = match error {
        mysql_async::Error::Server(server) => server,
        source => return SqlError::Unreachable { at: at.to_owned(), source },
    };
    match server.code {
        1045 => SqlError::Authentication,
        1044 | 1142 | 1227 | 1252 | 5203 => SqlError::Permission { doing: doing.to_owned() },
        code => refused(doing, code, &server.message),
    }
}

/// Classifies by the message, because almost all errors have the same number.
fn refused(doing: &str, code: u16, words: &str) -> SqlError {
    let (doing, message) = (doing.to_owned(), quotable(words));
    match PASSING.iter().find(|(known, _)| words.contains(known)) {
        Some((_, passes)) => SqlError::Passing { doing, code, message, passes: *passes },
        None => SqlError::Refused { doing, code, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_number_says_what_a_person_can_do() {
        let classified = |code| {
            let server =
                mysql_async::ServerError { code, message: "m".to_owned(), state: "HY000".to_owned() };
            classify(mysql_async::Error::Server(server), "fe:9030", "create a table").fault().reason
        };
        for (code, reason) in [
            (1045, Reason::SinkAuthenticationFailed),
            (1252, Reason::SinkPermissionDenied),
            (5203, Reason::SinkPermissionDenied),
            (1064, Reason::TargetIncompatible),
        ] {
            assert_eq!(classified(code), reason, "{code}");
        }
    }

    #[test]
    fn a_running_schema_change_is_told_from_other_refusals() {
        let refused = |words| refused("change a table", 1064, words);
        assert!(refused("A schema change operation is in progress on the table t").is_schema_change());
        assert!(!refused("Column does not exists: c").is_schema_change());
    }

    #[test]
    fn a_refusal_that_passes_by_itself_is_told_as_what_it_is() {
        for (words, reason) in [
            (
                "Getting analyzing error. Detail message: Table replication num should be less than of equal to the \
                 number of available BE nodes.",
                Reason::SinkUnreachable,
            ),
            (
                "Table replication num should be less than or equal to the number of available backends.",
                Reason::SinkUnreachable,
            ),
            (
                "org.apache.thrift.TException: java.net.ConnectException: Connection refused",
                Reason::SinkUnreachable,
            ),
            ("Backend node not found. Check if any backend node is down.", Reason::SinkUnreachable),
            ("A schema change operation is in progress on the table t.", Reason::SinkBusy),
            ("Table [t]'s state is SCHEMA_CHANGE. Do not allow create materialized view", Reason::SinkBusy),
            ("Can not change default value", Reason::TargetIncompatible),
            ("Column does not exists: c", Reason::TargetIncompatible),
        ] {
            let fault = refused("create table t", 1064, words).fault();
            assert_eq!(fault.reason, reason, "{words}");
        }
    }
}
