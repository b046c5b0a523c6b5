//! Reads the existing rows of a table: whole chunks by ranges of blocks, and single values by key. Blocking.
//!
//! ```text
//! enter: BEGIN, LOCK TABLE (ACCESS SHARE), snapshot ─► Sight ─► copy ─► leave: COMMIT
//! ```
//!
//! The lock comes before the snapshot: what the snapshot shows of the table's columns and storage then holds until the
//! end. Everything is read in the one snapshot whose [`Visibility`] the caller checks.

mod chunk;
mod fault;
mod missing;
mod row;

use std::{collections::BTreeMap, ops::ControlFlow};

pub use self::chunk::Unlike;
use self::fault::of_table;
use super::{
    connection::{Connection, Row},
    error::SourceError,
    server::server_version,
    setup::described,
    sql,
    visibility::{self, Earlier, Visibility},
};
use crate::{
    config::{CopyMemory, SourceConfig},
    fault::Fault,
    lsn::Lsn,
    table::{Table, TableName},
};

/// Row filters of publications exist from PostgreSQL 15 on.
const FILTERS_SINCE: u32 = 150_000;
/// Do not queue behind other sessions' locks for longer: sessions that come later would queue behind this one.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";
/// A page of WAL, and the sizes of its header.
const WAL_PAGE: u64 = 8192;
const WAL_HEADERS: [u64; 2] = [24, 40];

/// A session that reads rows.
#[derive(Debug)]
pub struct CopySession {
    connection: Connection,
    config: SourceConfig,
    version: u32,
    is_standby: bool,
}

/// What the snapshot of a chunk shows.
#[derive(Debug)]
pub struct Sight {
    pub visibility: Visibility,
    /// Every transaction that is visible has its commit before this position of the WAL.
    pub end: Lsn,
    pub table: Table,
    /// The name under which the leaf partition was locked, as SQL.
    leaf: Option<String>,
    /// The publication's row filter.
    filter: Option<String>,
}

#[cfg(test)]
impl Sight {
    /// What a simulated server shows.
    pub(crate) fn of(visibility: Visibility, end: Lsn, table: Table) -> Self {
        Self { visibility, end, table, leaf: None, filter: None }
    }
}

impl CopySession {
    pub fn open(config: &SourceConfig) -> Result<Self, Fault> {
        Self::try_open(config).map_err(|error| error.fault(config))
    }

    fn try_open(config: &SourceConfig) -> Result<Self, SourceError> {
        let mut connection = Connection::open_to_copy(config)?;
        let version = server_version(&mut connection)?;
        let rows = connection.query("SELECT pg_catalog.pg_is_in_recovery()")?;
        let is_standby = rows.first().is_some_and(|row| row.flag(0));
        Ok(Self { connection, config: config.clone(), version, is_standby })
    }

    /// The transactions that are visible now.
    pub fn visibility(&mut self) -> Result<Visibility, Fault> {
        let seen = self.ask_visibility();
        seen.map_err(|error| error.fault(&self.config))
    }

    fn ask_visibility(&mut self) -> Result<Visibility, SourceError> {
        let seen = self.ask_snapshot()?;
        Ok(if self.is_standby { seen.on_standby() } else { seen })
    }

    fn ask_snapshot(&mut self) -> Result<Visibility, SourceError> {
        let rows = self.connection.query(visibility::ASK)?;
        let seen = rows.first().and_then(|row| Visibility::parse(row.text(0)));
        seen.ok_or_else(|| SourceError::protocol("the server does not tell its snapshot"))
    }

    /// The transactions that are in progress now and may have written to the table.
    pub fn earlier(&mut self, table: &Table) -> Result<Earlier, Fault> {
        let earlier = self.ask_earlier(table);
        earlier.map_err(|error| of_table(error, &self.config, &table.name))
    }

    fn ask_earlier(&mut self, table: &Table) -> Result<Earlier, SourceError> {
        let seen = self.ask_snapshot()?;
        if self.is_standby {
            return Ok(Earlier::all_before(&seen));
        }
        // After the snapshot: a transaction keeps its locks until it is visible.
        let writers = self.ask_writers(table)?;
        Ok(Earlier::among(&seen, &writers))
    }

    fn ask_writers(&mut self, table: &Table) -> Result<Vec<u32>, SourceError> {
        let root = sql::literal(&sql::table(&table.name));
        let relations = table.facts.files.keys().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let rows = self.connection.query(&format!(
            "SELECT own.transactionid FROM pg_catalog.pg_locks held \
             JOIN pg_catalog.pg_locks own ON own.virtualtransaction = held.virtualtransaction \
             WHERE held.locktype = 'relation' AND own.locktype = 'transactionid' AND own.mode = 'ExclusiveLock' \
             AND held.mode NOT IN ('AccessShareLock', 'RowShareLock') \
             AND held.relation IN ({relations}, pg_catalog.to_regclass({root}))"
        ))?;
        rows.iter().map(|row| row.parse(0)).collect()
    }

    /// Locks the table and the leaf partition, or the table with all of its partitions, takes a snapshot, and reads in it
    /// what the table is. A transaction is open after it.
    pub fn enter(&mut self, name: &TableName, leaf: Option<u32>) -> Result<Sight, Fault> {
        let sight = self.try_enter(name, leaf);
        sight.map_err(|error| of_table(error, &self.config, name))
    }

    fn try_enter(&mut self, name: &TableName, leaf: Option<u32>) -> Result<Sight, SourceError> {
        let only = if leaf.is_some() { "ONLY " } else { "" };
        let leaf = leaf.map(|leaf| self.leaf_name(leaf)).transpose()?.flatten();
        self.connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        self.connection.query(LOCK_TIMEOUT)?;
        for table in [sql::table(name)].into_iter().chain(leaf.clone()) {
            self.connection.query(&format!("LOCK TABLE {only}{table} IN ACCESS SHARE MODE"))?;
        }
        // The first query takes the snapshot.
        let visibility = self.ask_visibility()?;
        let table = described(&mut self.connection, &self.config, name, self.version)?;
        let end = self.end_of_wal()?;
        let filter = self.filter(name)?;
        Ok(Sight { visibility, end, table, leaf, filter })
    }

    /// Ends the transaction that `enter` began.
    pub fn leave(&mut self) -> Result<(), Fault> {
        let left = self.connection.query("COMMIT").map(|_| ());
        left.map_err(|error| error.fault(&self.config))
    }

    /// The name of a leaf partition, as SQL; none when it does not exist any more.
    fn leaf_name(&mut self, leaf: u32) -> Result<Option<String>, SourceError> {
        let rows = self
            .connection
            .query(&format!("SELECT oid::pg_catalog.regclass FROM pg_catalog.pg_class WHERE oid = {leaf}"))?;
        Ok(rows.first().map(|row| row.text(0).to_owned()))
    }

    /// The end of the WAL now.
    pub fn end(&mut self) -> Result<Lsn, Fault> {
        self.end_of_wal().map_err(|error| error.fault(&self.config))
    }

    fn end_of_wal(&mut self) -> Result<Lsn, SourceError> {
        let function = if self.is_standby { "pg_last_wal_replay_lsn" } else { "pg_current_wal_insert_lsn" };
        let rows = self.connection.query(&format!("SELECT pg_catalog.{function}()"))?;
        let end: Lsn = rows.first().map(|row| row.parse(0)).transpose()?.unwrap_or_default();
        // Right after the header of a page nothing was written to the page yet, and the stream may not reach this position.
        let place = end.0 % WAL_PAGE;
        Ok(if WAL_HEADERS.contains(&place) { Lsn(end.0 - place) } else { end })
    }

    fn filter(&mut self, name: &TableName) -> Result<Option<String>, SourceError> {
        if self.version < FILTERS_SINCE {
            return Ok(None);
        }
        let [publication, schema, table] =
            [&self.config.publication, &name.schema, &name.name].map(|text| sql::literal(text));
        let rows = self.connection.query(&format!(
            "SELECT rowfilter FROM pg_catalog.pg_publication_tables \
             WHERE pubname = {publication} AND schemaname = {schema} AND tablename = {table}"
        ))?;
        Ok(rows.first().and_then(|row| row.value(0)).map(str::to_owned))
    }

    /// Blocks of the table, or of each of its leaf partitions, by oid.
    pub fn sizes(&mut self, table: &Table) -> Result<BTreeMap<u32, u32>, Fault> {
        let sizes = self.ask_sizes(table);
        sizes.map_err(|error| of_table(error, &self.config, &table.name))
    }

    fn ask_sizes(&mut self, table: &Table) -> Result<BTreeMap<u32, u32>, SourceError> {
        let leaves = table.facts.files.keys().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let rows = self.connection.query(&format!(
            "SELECT oid, coalesce(pg_catalog.pg_relation_size(oid), 0) \
               / pg_catalog.current_setting('block_size')::bigint \
             FROM pg_catalog.pg_class WHERE oid = ANY (ARRAY[{leaves}]::pg_catalog.oid[])"
        ))?;
        rows.iter()
            .map(|row| Ok((row.parse(0)?, row.parse::<u64>(1)?.min(u64::from(u32::MAX)) as u32)))
            .collect()
    }

    /// Blocks of the tables by name, each with all of its leaf partitions.
    pub fn blocks_of(&mut self, tables: &[TableName]) -> Result<BTreeMap<TableName, u64>, Fault> {
        let blocks = self.ask_blocks_of(tables);
        blocks.map_err(|error| error.fault(&self.config))
    }

    fn ask_blocks_of(&mut self, tables: &[TableName]) -> Result<BTreeMap<TableName, u64>, SourceError> {
        let pair =
            |table: &TableName| format!("({}, {})", sql::literal(&table.schema), sql::literal(&table.name));
        let names: Vec<_> = tables.iter().map(pair).collect();
        let rows = self.connection.query(&format!(
            "SELECT n.nspname, c.relname, coalesce( \
               (SELECT sum(pg_catalog.pg_relation_size(t.relid)) FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf), \
               pg_catalog.pg_relation_size(c.oid), 0)::bigint / pg_catalog.current_setting('block_size')::bigint \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE (n.nspname, c.relname) IN (VALUES {})",
            names.join(", ")
        ))?;
        let sized = |row: &Row| {
            let name = TableName { schema: row.text(0).to_owned(), name: row.text(1).to_owned() };
            Ok((name, row.parse(2)?))
        };
        rows.iter().map(sized).collect()
    }

    /// Passes the rows of a query to `take`, in the form in which the stream sends rows.
    fn each(
        &mut self,
        select: &str,
        columns: usize,
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<bool, SourceError> {
        let mut converted = Vec::new();
        let largest = self.config.copy_memory.map_or(u64::MAX, CopyMemory::largest_row);
        self.connection.copy_out(&format!("COPY ({select}) TO STDOUT"), largest, |line| {
            converted.clear();
            row::convert(line, columns, &mut converted)?;
            Ok(take(&converted))
        })
    }
}
