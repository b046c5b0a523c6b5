//! The lock between two workers of one slot, held as long as the session.
//!
//! A stream locks the slot by itself. Catch-up lets go of it between two chunks, and a worker that began
//! there would pass the first; so every session takes this lock before it touches the slot.

use crate::postgres::{
    connection::Connection,
    error::{ServerError, SourceError},
    sql,
};

/// Takes the lock, or says that another session holds the slot.
pub(in crate::postgres) fn take(connection: &mut Connection, slot: &str) -> Result<(), SourceError> {
    let name = sql::literal(&format!("dbmazz slot {slot}"));
    let rows = connection
        .query(&format!("SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended({name}, 0))"))?;
    if rows.first().is_some_and(|row| row.flag(0)) {
        return Ok(());
    }
    let message = format!("replication slot \"{slot}\" is used by another worker");
    Err(SourceError::Server(ServerError { code: SLOT_IN_USE.to_owned(), message, ..ServerError::default() }))
}

/// The code by which PostgreSQL says the same of a slot in use.
const SLOT_IN_USE: &str = "55006";
