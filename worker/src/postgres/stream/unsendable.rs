//! Finds the table of a text that PostgreSQL cannot send in UTF-8.
//!
//! The stream cannot pass the text, so this is queried once per error, on a separate session that takes texts without
//! conversion.

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

/// The server may have to decode much before the position; beyond this limit the table stays unknown.
const LIMITS: &str = "SET client_encoding = 'SQL_ASCII'; SET statement_timeout = '20s'";

/// The fault, with the encoding and the table where they can be determined.
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
    // The lock keeps other workers from reading the slot meanwhile.
    lock::take(connection, &config.slot)?;
    let (slot, publications) =
        (sql::literal(&config.slot), sql::literal(&sql::identifier(&config.publication)));
    // The relation's oid follows the tag of a change.
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
