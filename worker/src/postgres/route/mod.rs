//! Routes each change to its table: messages in, events of a block out.
//!
//! Pure. The rule: a change belongs to one selected table and one transaction. An announcement is compared with a
//! catalogue query that is sure to see its transaction; where there is none yet, the router requests one before it
//! continues. A table that cannot be replicated is halted, once, and no later change of it is passed on; the pipeline
//! then holds the confirmed position, so none of its changes is lost.

mod announcement;
mod followed;
mod owner;
mod place;
mod shape;

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use self::{
    followed::Followed,
    place::{Rows, old_place, place},
};
use super::{
    pgoutput::{Message, TypeName},
    visibility::Visibility,
};
use crate::{
    change::BlockBuilder,
    fault::Fault,
    lsn::Lsn,
    schema_history::{Noted, SchemaHistory},
    table::{Table, TableId},
};

/// Holds the announced relations, and the position in the stream.
#[derive(Debug)]
pub struct Router {
    /// In the order of their ids.
    tables: Vec<Followed>,
    /// The visibility of the last catalogue query.
    visibility: Visibility,
    relations: HashMap<u32, Standing>,
    type_names: HashMap<u32, TypeName>,
    /// The relation of the last change, as a cache: most changes are of the same table as the one before.
    latest: Option<(u32, Rows)>,
    in_transaction: bool,
    /// The current transaction: its number and its commit position.
    transaction: (u32, Lsn),
    committed: Lsn,
    /// Commit time of the latest transaction.
    commit_time: Option<SystemTime>,
    changes: u64,
    /// Tables that the last catalogue query found replaced, missing, or published differently.
    lost: Vec<(TableId, Fault)>,
}

/// What a relation is to this job.
#[derive(Debug, Clone, Copy)]
enum Standing {
    Followed(Rows),
    /// Published, and not selected by this job.
    Ignored,
    /// A partition of a table whose changes come under the table's own name.
    Partition(TableId),
}

/// The outcome of routing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Routed {
    Done,
    /// The message has to be routed again, after [`Router::learn`].
    NotBeforeALook,
}

/// The stream contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error("a change came for relation {0}, which was never announced")]
    Unannounced(u32),
    #[error("a row of relation {0} has another number of columns than was announced")]
    Width(u32),
    #[error("a change or a commit came outside of a transaction")]
    OutsideTransaction,
    #[error("a transaction began inside another")]
    InsideTransaction,
    #[error("a row lies beyond what a block can hold")]
    TooFar,
}

impl Router {
    /// A router for tables that were read with this visibility, and whose targets have their columns.
    pub fn new(tables: impl IntoIterator<Item = (Table, SchemaHistory)>, visibility: Visibility) -> Self {
        Self {
            tables: tables.into_iter().map(|(table, history)| Followed::new(table, history)).collect(),
            visibility,
            relations: HashMap::new(),
            type_names: HashMap::new(),
            latest: None,
            in_transaction: false,
            transaction: (0, Lsn::default()),
            committed: Lsn::default(),
            commit_time: None,
            changes: 0,
            lost: Vec::new(),
        }
    }

    /// The end of the last whole transaction that was passed on.
    pub fn committed(&self) -> Lsn {
        self.committed
    }

    /// Nothing that commits at or after this position was passed on. Rows of a transaction are passed on before it is
    /// complete, so this is beyond the last whole transaction while another is being received.
    pub fn reached(&self) -> Lsn {
        let (_, commit) = self.transaction;
        self.committed.max(Lsn(commit.0.saturating_add(u64::from(commit > Lsn(0)))))
    }

    /// Commit time of the latest transaction, by the server's clock.
    pub fn commit_time(&self) -> Option<SystemTime> {
        self.commit_time
    }

    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Changes routed since the last call.
    pub fn take_changes(&mut self) -> u64 {
        std::mem::take(&mut self.changes)
    }

    /// Handles a new connection: the server starts with a whole transaction and announces all relations again.
    pub fn reconnected(&mut self) {
        self.in_transaction = false;
    }

    /// The selected tables, in the order of their ids.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.iter().map(Followed::rows)
    }

    /// Whether the last catalogue query is sure to have seen the current transaction.
    pub fn sees(&self) -> bool {
        self.visibility.sees(self.transaction.0)
    }

    /// Takes the tables as the catalogue shows them, in the order of their ids.
    pub fn learn(
        &mut self,
        tables: Vec<Result<Table, Fault>>,
        partitions: Vec<Vec<u32>>,
        visibility: Visibility,
    ) {
        self.tables.iter_mut().zip(tables).for_each(|(table, now)| table.learn(now));
        self.tables.iter_mut().zip(partitions).for_each(|(table, now)| table.partitions = now);
        self.visibility = visibility;
        self.lost = self.tables.iter().filter_map(Followed::lost).collect();
    }

    /// The recorded source identities of the tables.
    pub fn noted(&self) -> Noted {
        self.tables.iter().filter_map(Followed::noted).collect()
    }

    /// Adds the events of `message` to the block. The message starts at `at` in the block's bytes.
    pub fn route(
        &mut self,
        message: Message,
        at: usize,
        block: &mut BlockBuilder,
    ) -> Result<Routed, Contradiction> {
        while let Some((table, fault)) = self.lost.pop() {
            self.halt(table, fault, block);
        }
        match message {
            Message::Insert { relation, new } => {
                let Some(rows) = self.rows(relation, block)? else { return Ok(Routed::Done) };
                block.insert(rows.table, place(relation, rows, &new, at)?);
                self.changes += 1;
            }
            Message::Update { relation, old, new } => {
                let Some(rows) = self.rows(relation, block)? else { return Ok(Routed::Done) };
                let old = old.map(|old| old_place(relation, rows, &old, at)).transpose()?;
                block.update(rows.table, old, place(relation, rows, &new, at)?);
                self.changes += 1;
            }
            Message::Delete { relation, old } => {
                let Some(rows) = self.rows(relation, block)? else { return Ok(Routed::Done) };
                block.delete(rows.table, old_place(relation, rows, &old, at)?);
                self.changes += 1;
            }
            Message::Begin { commit, time, xid } => self.begin(commit, time, xid, block)?,
            Message::Commit { end } => self.commit(end, block)?,
            Message::Relation(relation) => return self.announce(&relation, block),
            Message::Type(name) => {
                self.type_names.insert(name.oid, *name);
            }
            Message::Truncate { relations } => self.truncate(&relations, block)?,
            Message::Aside => {}
        }
        Ok(Routed::Done)
    }

    fn begin(
        &mut self,
        commit: Lsn,
        time: SystemTime,
        xid: u32,
        block: &mut BlockBuilder,
    ) -> Result<(), Contradiction> {
        self.expect_transaction(false).map_err(|_| Contradiction::InsideTransaction)?;
        (self.in_transaction, self.commit_time) = (true, Some(time));
        self.transaction = (xid, commit);
        block.begin(commit, time, xid);
        Ok(())
    }

    fn commit(&mut self, end: Lsn, block: &mut BlockBuilder) -> Result<(), Contradiction> {
        self.expect_transaction(true)?;
        (self.in_transaction, self.committed) = (false, end);
        block.commit(end);
        Ok(())
    }

    fn expect_transaction(&self, open: bool) -> Result<(), Contradiction> {
        if self.in_transaction == open { Ok(()) } else { Err(Contradiction::OutsideTransaction) }
    }

    /// The table and width of a change's rows; `None` when the table is not selected or is halted.
    fn rows(&mut self, relation: u32, block: &mut BlockBuilder) -> Result<Option<Rows>, Contradiction> {
        self.expect_transaction(true)?;
        if let Some((oid, rows)) = self.latest
            && oid == relation
        {
            return Ok(Some(rows));
        }
        let rows = match self.standing(relation)? {
            Standing::Followed(rows) => rows,
            Standing::Ignored => return Ok(None),
            Standing::Partition(root) => {
                self.halt_at_partition(root, relation, block);
                return Ok(None);
            }
        };
        if self.is_halted(rows.table) {
            return Ok(None);
        }
        self.latest = Some((relation, rows));
        Ok(Some(rows))
    }

    fn standing(&self, relation: u32) -> Result<Standing, Contradiction> {
        self.relations.get(&relation).copied().ok_or(Contradiction::Unannounced(relation))
    }

    /// A change of the relation is left out: halts its table there.
    pub fn leave_out(&mut self, relation: u32, why: impl FnOnce(&Table) -> Fault, block: &mut BlockBuilder) {
        let Some(Standing::Followed(rows)) = self.relations.get(&relation).copied() else { return };
        let fault = self.tables.get(rows.table.0 as usize).map(|table| why(table.rows()));
        fault.into_iter().for_each(|fault| self.halt(rows.table, fault, block));
    }

    fn truncate(&mut self, relations: &[u32], block: &mut BlockBuilder) -> Result<(), Contradiction> {
        for relation in relations {
            if let Some(rows) = self.rows(*relation, block)? {
                block.truncate(rows.table);
            }
        }
        Ok(())
    }

    fn halt(&mut self, id: TableId, fault: Fault, block: &mut BlockBuilder) {
        self.latest = None;
        let Some(table) = self.tables.get_mut(id.0 as usize) else { return };
        if !std::mem::replace(&mut table.halted, true) {
            block.halt(id, fault);
        }
    }

    fn is_halted(&self, table: TableId) -> bool {
        self.tables.get(table.0 as usize).is_none_or(|table| table.halted)
    }
}

#[cfg(test)]
mod tests;
