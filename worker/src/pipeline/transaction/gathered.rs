//! Changes of all tables that are loaded in one step.
//!
//! Pure. A transaction of the source gathers separately until its commit has been received, and is then merged into the
//! whole transactions before it. So the whole ones can be loaded at any moment, and a transaction that is sent again,
//! because the connection was lost in the middle of it, can be discarded completely.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use bytes::Bytes;

use super::super::{
    batch::{Accumulation, Batch, ColumnSet, Deletes},
    lane::Transaction,
    ledger::Ticket,
};
use crate::{
    change::Change,
    fault::{Fault, Part, send_whole},
    table::{Table, TableId, TableName},
};

#[derive(Debug)]
pub(super) struct Gathered {
    tables: HashMap<TableId, Accumulation>,
    /// Tables that are emptied before the rows are loaded.
    pub(super) emptied: Vec<Arc<Table>>,
    pub(super) ticket: Ticket,
    pub(super) oldest_commit: SystemTime,
}

/// The batch of one table, and how many changes it settles.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) batch: Batch,
    pub(super) changes: u64,
}

impl Gathered {
    pub(super) fn new(ticket: Ticket, oldest_commit: SystemTime) -> Self {
        Self { tables: HashMap::new(), emptied: Vec::new(), ticket, oldest_commit }
    }

    pub(super) fn push(
        &mut self,
        block: &Bytes,
        table: &Arc<Table>,
        deletes: Deletes,
        change: Change<'_>,
        transaction: Transaction,
    ) -> Result<(), Fault> {
        let changes = self.tables.entry(table.id);
        let changes = changes.or_insert_with(|| Accumulation::of_whole_rows(Arc::clone(table), deletes));
        changes
            .push_from(block, change, transaction.commit)
            .map_err(|incomplete| incomplete.fault(&table.name))
    }

    /// Merges a transaction that was committed later. Returns its ticket, which is no longer needed.
    pub(super) fn absorb(&mut self, later: Self) -> Result<Ticket, Fault> {
        for (table, changes) in later.tables {
            match self.tables.get_mut(&table) {
                Some(earlier) => earlier.absorb(&changes).map_err(|why| why.fault(&changes.table().name))?,
                None => drop(self.tables.insert(table, changes)),
            }
        }
        Ok(later.ticket)
    }

    /// The table is emptied at this point; returns how many changes that discards.
    pub(super) fn empty(&mut self, table: Arc<Table>) -> u64 {
        let void = self.tables.remove(&table.id).map_or(0, |changes| changes.changes());
        if !self.emptied.iter().any(|known| known.id == table.id) {
            self.emptied.push(table);
        }
        void
    }

    pub(super) fn holds(&self, table: TableId) -> bool {
        self.tables.contains_key(&table)
    }

    pub(super) fn changes(&self) -> u64 {
        self.tables.values().map(Accumulation::changes).sum()
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = TableId> {
        self.tables.keys().copied()
    }

    /// The largest number of rows of one table.
    pub(super) fn most_rows(&self) -> usize {
        self.tables.values().map(Accumulation::rows).max().unwrap_or_default()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.tables.values().map(Accumulation::held_bytes).sum()
    }

    /// One batch for each table, in the order of the tables.
    pub(super) fn close(self, synced_at: SystemTime) -> Result<Vec<Closed>, Fault> {
        let mut tables: Vec<_> = self.tables.into_iter().collect();
        tables.sort_unstable_by_key(|(table, _)| *table);
        let closed = tables.into_iter().map(|(_, changes)| close(changes, synced_at));
        closed.filter_map(Result::transpose).collect()
    }
}

/// The sink takes one column set per table in a step, so rows with missing values are a fault.
fn close(changes: Accumulation, synced_at: SystemTime) -> Result<Option<Closed>, Fault> {
    let count = changes.changes();
    let mut batches = changes.close(synced_at);
    if let Some(part) = batches.iter().find(|batch| *batch.columns() != ColumnSet::All) {
        return Err(not_whole(&part.table().name));
    }
    Ok(batches.pop().map(|batch| Closed { batch, changes: count }))
}

fn not_whole(table: &TableName) -> Fault {
    Fault::halt(
        Part::Table(table.clone()),
        crds::Reason::ReplicaIdentityInsufficient,
        format!(
            "a change of {table} came without the whole row, and StarRocks takes only whole rows when all tables are \
             loaded in one transaction"
        ),
        format!(
            "{}; set consistency to Row until what was committed before is loaded, and then back to Transaction",
            send_whole(table)
        ),
    )
}
