//! The advisory lock that excludes two workers of one slot; a session holds it until it ends.
//!
//! A stream locks the slot itself. Catch-up releases the slot between two chunks, and a worker that began there would
//! overtake the first; so every session takes this lock before it touches the slot. Whether a session still holds it is
//! asked on another connection: the session itself sends nothing while it waits for room or for a chunk, and bytes in
//! its socket may be older than a suspension of this process.

use std::time::Duration;

use crate::{
    config::SourceConfig,
    fault::Fault,
    postgres::{
        connection::{Connection, Row},
        error::{ServerError, SourceError},
        sql,
    },
    slot_lease::{Moment, Session},
};

/// Limit for the server's answer whether a session holds the lock.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The start of a session, in a form that does not depend on settings of the session that asks.
const BEGUN: &str = "(extract(epoch FROM backend_start) * 1000000)::bigint";

/// A session that holds the lock, and a moment not later than when it took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) struct Locked {
    pub(in crate::postgres) session: Session,
    pub(in crate::postgres) since: Moment,
}

/// Takes the lock; fails when another session holds it.
pub(in crate::postgres) fn take(connection: &mut Connection, slot: &str) -> Result<Locked, SourceError> {
    let since = Moment::now();
    let rows = connection.query(&format!(
        "SELECT pg_catalog.pg_try_advisory_lock({}), pid, {BEGUN} FROM pg_catalog.pg_stat_activity \
         WHERE pid = pg_catalog.pg_backend_pid()",
        key(slot)
    ))?;
    let row = rows.first().ok_or_else(|| SourceError::protocol("a session does not know itself"))?;
    if row.flag(0) {
        return Ok(Locked { session: session(row)?, since });
    }
    let holder = holder(connection, slot)?.map(|process| format!(", in the session of process {process}"));
    let message = format!("another worker uses it{}", holder.unwrap_or_default());
    Err(SourceError::Server(ServerError { code: SLOT_IN_USE.to_owned(), message, ..ServerError::default() }))
}

/// The process at the server whose session has the lock; none when it has just ended.
fn holder(connection: &mut Connection, slot: &str) -> Result<Option<u32>, SourceError> {
    let rows =
        connection.query(&format!("SELECT pid FROM pg_catalog.pg_locks AS held WHERE {}", is_lock(slot)))?;
    rows.first().map(|row| row.parse(0)).transpose()
}

fn session(row: &Row) -> Result<Session, SourceError> {
    Ok(Session { process: row.parse(1)?, begun: row.parse(2)? })
}

/// The SQLSTATE with which PostgreSQL reports a slot in use.
const SLOT_IN_USE: &str = "55006";

fn key(slot: &str) -> String {
    format!("pg_catalog.hashtextextended({}, 0)", sql::literal(&format!("dbmazz slot {slot}")))
}

/// Asks on a separate connection whether a session still holds the lock.
#[derive(Debug)]
pub struct Witness {
    config: SourceConfig,
    connection: Option<Connection>,
}

impl Witness {
    pub fn new(config: SourceConfig) -> Self {
        Self { config, connection: None }
    }

    /// Whether the session holds the lock now. Blocks; the answer is limited to 10 s.
    pub fn sees(&mut self, session: Session) -> Result<bool, Fault> {
        self.try_sees(session).map_err(|error| error.fault(&self.config))
    }

    fn try_sees(&mut self, session: Session) -> Result<bool, SourceError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open_for_sql(&self.config)?,
        };
        // After an error the state of the connection is unknown: it is dropped.
        let rows = connection.query_within(&question(&self.config.slot, session), ANSWER_LIMIT)?;
        self.connection = Some(connection);
        Ok(!rows.is_empty())
    }
}

/// Gives one row when the session holds the lock. `pg_locks` shows a 64-bit key as two halves.
fn question(slot: &str, Session { process, begun }: Session) -> String {
    format!(
        "SELECT 1 FROM pg_catalog.pg_locks AS held JOIN pg_catalog.pg_stat_activity AS holder USING (pid) \
         WHERE {} AND pid = {process} AND {BEGUN} = {begun}",
        is_lock(slot)
    )
}

/// Whether a row of `pg_locks`, as `held`, is the lock of the slot.
fn is_lock(slot: &str) -> String {
    format!(
        "held.locktype = 'advisory' AND held.granted AND held.objsubid = 1 \
         AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
         AND ((held.classid::bigint << 32) | held.objid::bigint) = {}",
        key(slot)
    )
}
