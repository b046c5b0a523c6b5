//! The publication: created for the selected tables, or an existing one, which must publish all kinds of their changes.
//!
//! Published tables that are not selected are left in it: other subscribers may use them, and the router ignores them.
//! `FOR ALL TABLES` is accepted like a list.

use std::collections::HashMap;

use crds::Reason;

use super::identity::Identities;
use crate::{
    config::SourceConfig,
    fault::Fault,
    postgres::{
        connection::Connection,
        error::{SourceError, halt},
        sql,
    },
    table::{Table, TableName},
};

const VIA_ROOT_SINCE: u32 = 130_000;
const COLUMN_LISTS_SINCE: u32 = 150_000;
/// Before this version generated columns are never sent, though PostgreSQL 15 lists them as published.
const GENERATED_SINCE: u32 = 180_000;

/// A publication that exists.
#[derive(Debug)]
pub(super) struct Publication {
    name: String,
    /// Inserts, updates, deletes and truncates.
    publishes_all: bool,
    via_root: bool,
    /// Stored generated columns that are listed are sent.
    sends_generated: bool,
    /// The published tables, and (from PostgreSQL 15 on) their published columns.
    members: HashMap<TableName, Option<Vec<String>>>,
}

impl Publication {
    pub(super) fn find(
        connection: &mut Connection,
        name: &str,
        version: u32,
    ) -> Result<Option<Self>, SourceError> {
        let via_root = if version < VIA_ROOT_SINCE { "false" } else { "pubviaroot" };
        let quoted = sql::literal(name);
        let rows = connection.query(&format!(
            "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, {via_root} \
             FROM pg_catalog.pg_publication WHERE pubname = {quoted}"
        ))?;
        let Some(row) = rows.first() else { return Ok(None) };
        let members = members(connection, name, version)?;
        let sends_generated = version >= GENERATED_SINCE;
        let (publishes_all, via_root) = (row.flag(0), row.flag(1));
        Ok(Some(Self { name: name.to_owned(), publishes_all, via_root, sends_generated, members }))
    }

    /// The published columns of a table, where the server shows them.
    pub(super) fn columns(&self, table: &TableName) -> Option<&[String]> {
        self.members.get(table)?.as_deref()
    }

    pub(super) fn sends_generated(&self) -> bool {
        self.sends_generated
    }

    /// Its name as SQL.
    pub(super) fn identifier(&self) -> String {
        sql::identifier(&self.name)
    }

    pub(super) fn is_via_root(&self) -> bool {
        self.via_root
    }

    pub(super) fn has(&self, table: &TableName) -> bool {
        self.members.contains_key(table)
    }

    fn check(&self, config: &SourceConfig) -> Result<(), Fault> {
        let publication = sql::identifier(&config.publication);
        if !self.publishes_all {
            return Err(halt(
                Reason::BadConfiguration,
                format!("publication {} leaves out some kinds of changes", config.publication),
                format!(
                    "run ALTER PUBLICATION {publication} SET (publish = 'insert, update, delete, truncate')"
                ),
            ));
        }
        Ok(())
    }
}

fn members(
    connection: &mut Connection,
    name: &str,
    version: u32,
) -> Result<HashMap<TableName, Option<Vec<String>>>, SourceError> {
    let columns = if version < COLUMN_LISTS_SINCE { "NULL" } else { "pg_catalog.to_json(attnames)" };
    let name = sql::literal(name);
    let rows = connection.query(&format!(
        "SELECT schemaname, tablename, {columns} FROM pg_catalog.pg_publication_tables WHERE pubname = {name}"
    ))?;
    let member = |row: crate::postgres::connection::Row| {
        let table = TableName { schema: row.text(0).to_owned(), name: row.text(1).to_owned() };
        let columns = row.value(2).map(serde_json::from_str).transpose();
        let wrong = |_| SourceError::protocol("a publication's columns are not a list of names");
        Ok((table, columns.map_err(wrong)?))
    };
    rows.into_iter().map(member).collect()
}

/// Creates the publication, or adds tables that are missing in it; returns whether it changed anything. Only tables that
/// can be replicated are added: PostgreSQL refuses updates of a published table without a replica identity. A table with
/// a history is not added either: the changes that were not published would be missing unnoticed.
pub(super) fn ensure(
    connection: &mut Connection,
    config: &SourceConfig,
    tables: &[Table],
    found: Option<&Publication>,
    identities: &Identities,
    version: u32,
) -> Result<bool, SourceError> {
    let publication = sql::identifier(&config.publication);
    let Some(found) = found else {
        let via_root = if version < VIA_ROOT_SINCE { "" } else { ", publish_via_partition_root = true" };
        let tables = list(tables.iter().map(|table| &table.name));
        connection.query(&format!(
            "CREATE PUBLICATION {publication} FOR TABLE {tables} \
             WITH (publish = 'insert, update, delete, truncate'{via_root})"
        ))?;
        return Ok(true);
    };
    found.check(config)?;
    let is_missing = |name: &&TableName| !found.has(name) && !identities.is_kept(name);
    let missing = list(tables.iter().map(|table| &table.name).filter(is_missing));
    if !missing.is_empty() {
        connection.query(&format!("ALTER PUBLICATION {publication} ADD TABLE {missing}"))?;
    }
    Ok(!missing.is_empty())
}

/// `ONLY`: the tables themselves, without what inherits from them.
fn list<'a>(tables: impl Iterator<Item = &'a TableName>) -> String {
    tables.map(|table| format!("ONLY {}", sql::table(table))).collect::<Vec<_>>().join(", ")
}
