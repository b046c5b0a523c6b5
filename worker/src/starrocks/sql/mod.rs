//! SQL sessions with StarRocks by the MySQL protocol: text protocol only, no default database.
//!
//! StarRocks closes a connection without an error when the user may not use its default database, so the session names
//! none and runs `USE` later. The catalogue is read with SHOW and DESC only: the frontend answers them by itself, while
//! `information_schema` needs a backend.

mod error;

use std::time::Duration;

use mysql_async::{Conn, prelude::Queryable};
use tokio::time::timeout;

pub(crate) use self::error::SqlError;
use self::error::classify;
use crate::{
    config::SinkConfig,
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

/// Whether the rows contain exactly this name. A LIKE pattern can match others, because `_` matches any character.
pub(crate) fn lists(rows: &Rows, name: &str) -> bool {
    rows.iter().any(|row| row.first().and_then(Option::as_deref) == Some(name))
}

#[cfg(test)]
mod tests {
    use crds::Reason;

    use super::*;
    use crate::{
        mysql::double,
        slot_lease::{Moment, SlotLease},
    };

    #[test]
    fn a_name_that_a_pattern_matches_too_is_not_the_one() {
        let rows = |name: &str| vec![vec![Some(name.to_owned())]];
        assert!(lists(&rows("my_db"), "my_db"));
        assert!(!lists(&rows("myXdb"), "my_db") && !lists(&Rows::new(), "my_db"));
    }
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
}
