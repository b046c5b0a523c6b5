//! A text that PostgreSQL cannot send in UTF-8: whose it is.
//!
//! The stream stands before it, so this is asked once, on a session of its own that takes texts as they are.

use crate::{
    config::SourceConfig,
    fault::Fault,
    postgres::{
        connection::Connection,
        error::{ServerError, SourceError, invalid_text},
        slot::lock,
        sql,
    },
};

/// The position may lie behind much that is decoded first; then the table stays unknown.
const LIMITS: &str = "SET client_encoding = 'SQL_ASCII'; SET statement_timeout = '20s'";

/// The fault, with the encoding and the table where they can be told.
pub(super) fn name(error: &ServerError, config: &SourceConfig) -> Fault {
    let (encoding, table) = look(error, config).unwrap_or_default();
    invalid_text(error, config, encoding.as_deref(), table.as_deref())
}

type Found = (Option<String>, Option<String>);

fn look(error: &ServerError, config: &SourceConfig) -> Result<Found, SourceError> {
    let mut connection = Connection::open_for_sql(config)?;
    let encoding = value(&mut connection, "SELECT pg_catalog.current_setting('server_encoding')")?;
    let table = table(&mut connection, error, config).unwrap_or_default();
    connection.close();
    Ok((encoding, table))
}

fn table(
    connection: &mut Connection,
    error: &ServerError,
    config: &SourceConfig,
) -> Result<Option<String>, SourceError> {
    let Some(lsn) = error.lsn else { return Ok(None) };
    connection.query(LIMITS)?;
    // Nobody reads the slot meanwhile.
    lock::take(connection, &config.slot)?;
    let (slot, publications) =
        (sql::literal(&config.slot), sql::literal(&sql::identifier(&config.publication)));
    // The relation stands behind the tag of a change.
    value(
        connection,
        &format!(
            "SELECT ('x' || pg_catalog.encode(pg_catalog.substr(data, 2, 4), 'hex'))::bit(32)::bigint::oid::regclass \
             FROM pg_catalog.pg_logical_slot_peek_binary_changes({slot}, NULL, NULL, \
             'proto_version', '1', 'publication_names', {publications}) \
             WHERE lsn = '{lsn}' AND pg_catalog.get_byte(data, 0) IN (68, 73, 85) LIMIT 1"
        ),
    )
}

fn value(connection: &mut Connection, sql: &str) -> Result<Option<String>, SourceError> {
    Ok(connection.query(sql)?.first().and_then(|row| row.value(0).map(str::to_owned)))
}
