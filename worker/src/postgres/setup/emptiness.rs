//! Whether tables that the job begins to replicate have rows already: those are not in the stream.

use super::identity::Identities;
use crate::{
    postgres::{connection::Connection, error::SourceError, sql},
    table::{Table, TableName},
};

/// The scan of a table with only dead rows may take long; beyond this limit it stays unknown whether the table is empty.
const LIMIT: &str = "SET statement_timeout = '2s'";
const NO_LIMIT: &str = "RESET statement_timeout";

/// Records for tables without a history whether they are empty, where the role may read them.
pub(super) fn note(
    connection: &mut Connection,
    tables: &[Table],
    identities: &mut Identities,
) -> Result<(), SourceError> {
    let names = tables.iter().map(|table| &table.name);
    let taken_up: Vec<_> = names.filter(|name| !identities.is_kept(name)).collect();
    if taken_up.is_empty() {
        return Ok(());
    }
    connection.query(LIMIT)?;
    for name in taken_up {
        identities.note_empty(name, is_empty(connection, name)?);
    }
    connection.query(NO_LIMIT)?;
    Ok(())
}

fn is_empty(connection: &mut Connection, name: &TableName) -> Result<Option<bool>, SourceError> {
    let (table, text) = (sql::table(name), sql::literal(&sql::table(name)));
    // Row-level security would hide rows.
    let may = format!(
        "SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT') AND NOT pg_catalog.row_security_active(c.oid), \
         c.relkind = 'p' FROM pg_catalog.pg_class c WHERE c.oid = {text}::pg_catalog.regclass"
    );
    let found = connection.query(&may)?;
    let Some(row) = found.first().filter(|row| row.flag(0)) else { return Ok(None) };
    let only = if row.flag(1) { "" } else { "ONLY " };
    match connection.query(&format!("SELECT NOT EXISTS (SELECT FROM {only}{table})")) {
        Ok(rows) => Ok(rows.first().map(|row| row.flag(0))),
        Err(SourceError::Server(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
