//! SQL sessions with StarRocks by the MySQL protocol: text protocol only, no default database.
//!
//! StarRocks closes a connection without an error when the user may not use its default database, so the session names
//! none and runs `USE` later. The catalogue is read with SHOW and DESC only: the frontend answers them by itself, while
//! `information_schema` needs a backend.

use std::time::Duration;

use crds::Reason;
use mysql_async::{Conn, prelude::Queryable};
use tokio::time::timeout;

use crate::{
    config::SinkConfig,
    fault::{Fault, Part},
    mysql::{guarded, options},
    slot_lease::LoadPermit,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);
/// The catalogue of one table is far smaller, so a larger packet is an error.
const LARGEST_PACKET: usize = 16 * 1024 * 1024;

/// A quoted identifier. Names that contain a backtick have been refused before.
pub(super) fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// A quoted string literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

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
    pub(super) fn fault(&self) -> Fault {
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
    pub(super) fn of_reading(&self, table: &str) -> Fault {
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
    pub(super) fn is_schema_change(&self) -> bool {
        let Self::Passing { message, .. } = self else { return false };
        ["schema change operation is in progress", "SCHEMA_CHANGE"]
            .iter()
            .any(|words| message.contains(words))
    }
}

/// One connection, for one task.
#[derive(Debug)]
pub(super) struct Session {
    connection: Conn,
    at: String,
    /// None where no lease applies.
    permit: Option<LoadPermit>,
}

fn changes(statement: &str) -> bool {
    ["ALTER ", "CREATE ", "TRUNCATE "].iter().any(|verb| statement.starts_with(verb))
}

/// The rows of an answer; NULL is None.
pub(super) type Rows = Vec<Vec<Option<String>>>;

impl Session {
    pub(super) async fn open(config: &SinkConfig) -> Result<Self, SqlError> {
        let at = format!("{}:{}", config.host, config.query_port);
        let options = options(config, LARGEST_PACKET);
        let opened = timeout(CONNECT_TIMEOUT, guarded(Conn::new(options))).await;
        let opened = opened.map_err(|_| SqlError::TimedOut { at: at.clone() })?;
        let connection = opened.map_err(|error| classify(error, &at, "connect"))?;
        Ok(Self { connection, at, permit: None })
    }

    /// Checks the permit before each statement that changes something, because much time may pass between two statements.
    pub(super) fn under(self, permit: Option<&LoadPermit>) -> Self {
        Self { permit: permit.cloned(), ..self }
    }

    /// Runs a statement and returns its rows. `doing` describes it in errors.
    pub(super) async fn run(&mut self, statement: &str, doing: &str) -> Result<Rows, SqlError> {
        if changes(statement) && self.permit.as_ref().is_some_and(|permit| !permit.is_granted()) {
            return Err(SqlError::LeaseEnded { doing: doing.to_owned() });
        }
        let query = guarded(self.connection.query::<mysql_async::Row, _>(statement));
        let answer = timeout(STATEMENT_TIMEOUT, query).await;
        let answer = answer.map_err(|_| SqlError::TimedOut { at: self.at.clone() })?;
        let rows = answer.map_err(|error| classify(error, &self.at, doing))?;
        Ok(rows.into_iter().map(|row| row.unwrap_raw().into_iter().map(text_of).collect()).collect())
    }

    /// Closes the connection, so that none is open while the job runs.
    pub(super) async fn close(self) {
        // All statements have been answered, so a failure to close does not matter.
        let _ = timeout(CONNECT_TIMEOUT, guarded(self.connection.disconnect())).await;
    }
}

fn text_of(value: Option<mysql_async::Value>) -> Option<String> {
    match value {
        Some(mysql_async::Value::Bytes(bytes)) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        _ => None,
    }
}

fn classify(error: mysql_async::Error, at: &str, doing: &str) -> SqlError {
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
    let (doing, message) = (doing.to_owned(), super::quote::quotable(words));
    match PASSING.iter().find(|(known, _)| words.contains(known)) {
        Some((_, passes)) => SqlError::Passing { doing, code, message, passes: *passes },
        None => SqlError::Refused { doing, code, message },
    }
}

/// Whether the rows contain exactly this name. A LIKE pattern can match others, because `_` matches any character.
pub(crate) fn lists(rows: &Rows, name: &str) -> bool {
    rows.iter().any(|row| row.first().and_then(Option::as_deref) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_pattern_matches_too_is_not_the_one() {
        let rows = |name: &str| vec![vec![Some(name.to_owned())]];
        assert!(lists(&rows("my_db"), "my_db"));
        assert!(!lists(&rows("myXdb"), "my_db") && !lists(&Rows::new(), "my_db"));
    }
    use crate::{
        mysql::double,
        slot_lease::{Moment, SlotLease},
    };

    #[tokio::test]
    async fn a_packet_without_content_is_a_fault_and_not_the_end() {
        let (listener, config) = double::server().await;
        let (session, _client) =
            tokio::join!(Session::open(&config), double::talk(listener, &[double::EMPTY]));
        let error = session.unwrap().run("SHOW TABLES", "list tables").await.unwrap_err();
        assert_eq!(error.fault().reason, Reason::SinkUnreachable);
    }

    #[tokio::test]
    async fn rule_10_nothing_is_changed_when_the_lease_has_ended_meanwhile() {
        let (listener, config) = double::server().await;
        let (lease, permit) = SlotLease::new();
        lease.renew(Moment::now());
        let (session, _client) = tokio::join!(Session::open(&config), double::talk(listener, &[]));
        let mut session = session.unwrap().under(Some(&permit));
        // As if the process were suspended here for minutes.
        lease.end();
        for statement in ["TRUNCATE TABLE `d`.`t`", "ALTER TABLE `d`.`t` DROP COLUMN `c`"] {
            let error = session.run(statement, "change the table").await.unwrap_err();
            assert!(matches!(error, SqlError::LeaseEnded { .. }), "{error}");
        }
        session.run("SHOW TABLES", "list tables").await.unwrap();
    }

    #[test]
    fn a_literal_stays_one_literal() {
        assert_eq!(literal(r"o'b\r"), r"'o''b\\r'");
    }

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
