//! The source of existing rows, as the copies use it: over PostgreSQL in [`super::reader`], simulated in the model.

use std::{collections::BTreeMap, fmt::Debug};

use super::gathering::Gathering;
use crate::{
    fault::Fault,
    lsn::Lsn,
    pipeline::Batch,
    postgres::{
        copy::Sight,
        visibility::{Earlier, Visibility},
    },
    schema_history::Blocks,
    table::{Table, TableName},
};

/// Opens sessions that read rows.
pub trait Source: Clone + Debug + Send + Sync + 'static {
    type Session: ReadRows;

    /// A session that connects when it is used first.
    fn session(&self) -> Self::Session;
}

/// What a copy asks before its first chunk.
#[derive(Debug)]
pub struct Beginning {
    /// The transactions that may have written to the table before.
    pub earlier: Earlier,
    /// The end of the WAL, asked after them.
    pub end: Lsn,
}

/// A session that reads rows. After a fault the next use connects again.
pub trait ReadRows: Debug + Send + 'static {
    fn begin(&mut self, table: &Table) -> impl Future<Output = Result<Beginning, Fault>> + Send;

    /// Blocks of the table, or of each of its leaf partitions, by oid.
    fn sizes(&mut self, table: &Table) -> impl Future<Output = Result<BTreeMap<u32, u32>, Fault>> + Send;

    /// Blocks of these tables with all of their leaf partitions, where that is known.
    fn blocks_of(
        &mut self,
        _tables: Vec<TableName>,
    ) -> impl Future<Output = Result<BTreeMap<TableName, u64>, Fault>> + Send {
        async { Ok(BTreeMap::new()) }
    }

    /// The transactions that are visible now.
    fn visibility(&mut self) -> impl Future<Output = Result<Visibility, Fault>> + Send;

    /// Locks the table and the leaf, or the table with all of its leaves, and takes a snapshot. A transaction is open after
    /// it.
    fn enter(
        &mut self,
        name: &TableName,
        leaf: Option<u32>,
    ) -> impl Future<Output = Result<Sight, Fault>> + Send;

    /// Ends the transaction that `enter` began.
    fn leave(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Passes the rows of the blocks to `rows`, and leaves the transaction. Returns whether all of them were passed; if
    /// not, the session must be ended.
    fn copy(
        &mut self,
        sight: Sight,
        columns: Vec<String>,
        blocks: Blocks,
        rows: Gathering,
    ) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// Passes the rows that the changes lack values of to `rows`, by their keys, as they are now. Rows that are gone are
    /// left out.
    fn rows_by_key(
        &mut self,
        changes: Batch,
        rows: Gathering,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Passes those rows of `keys` that the source has to `rows`, whole, as the transaction of `sight` shows them, and
    /// leaves the transaction.
    fn published_by_key(
        &mut self,
        sight: Sight,
        keys: Batch,
        rows: Gathering,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Ends the session.
    fn end(&mut self);
}
