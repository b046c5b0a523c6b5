//! Read-only SQL sessions, which take no walsender of the server.
//!
//! In: a statement. Out: its rows as texts, all at once or one by one. Every session is set read only, so that no
//! statement can write by mistake.

use std::ops::ControlFlow;

pub(crate) use super::connection::Row;
use super::{connection::Connection, error::SourceError};
use crate::{config::SourceConfig, fault::Fault};

/// A read-only session. Blocks.
#[derive(Debug)]
pub(crate) struct ReadOnlySession {
    connection: Connection,
    config: SourceConfig,
}

impl ReadOnlySession {
    pub(crate) fn open(config: &SourceConfig) -> Result<Self, Fault> {
        let connection = open(config).map_err(|error| error.fault(config))?;
        Ok(Self { connection, config: config.clone() })
    }

    /// All rows of a small answer.
    pub(crate) fn rows(&mut self, sql: &str) -> Result<Vec<Row>, Fault> {
        self.connection.query(sql).map_err(|error| error.fault(&self.config))
    }

    /// Passes the rows of an answer of any size to `take`, one by one, until it breaks. Ends the session.
    pub(crate) fn each_row(self, sql: &str, take: impl FnMut(Row) -> ControlFlow<()>) -> Result<(), Fault> {
        self.connection.each_row(sql, take).map_err(|error| error.fault(&self.config))
    }
}

fn open(config: &SourceConfig) -> Result<Connection, SourceError> {
    let mut connection = Connection::open_for_sql(config)?;
    connection.query("SET default_transaction_read_only = on")?;
    Ok(connection)
}
