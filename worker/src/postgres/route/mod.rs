//! Gives each change to its table: messages in, events of a block out.
//!
//! Pure. The rule: a change belongs to one selected table and one transaction. An announcement is compared with a
//! look at the catalogue that is sure to see its transaction; where there was none yet, the router asks for one
//! before it goes on. A table that cannot be followed is halted, once, and nothing of it is handed on afterwards;
//! the pipeline then holds the confirmed position, so nothing of it is lost.

mod followed;
mod owner;
mod place;
mod shape;

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use self::{
    followed::Followed,
    owner::Owner,
    place::{Rows, old_place, place},
};
use super::{
    pgoutput::{Message, Relation, TypeName},
    replaced,
    visibility::Visibility,
};
use crate::{
    change::BlockBuilder,
    fault::Fault,
    lsn::Lsn,
    schema_history::{Noted, SchemaHistory},
    table::{Table, TableId},
};

/// Knows what has been announced, and the place in the stream.
#[derive(Debug)]
pub struct Router {
    /// In the order of their ids.
    tables: Vec<Followed>,
    /// What the last look at the catalogue saw.
    visibility: Visibility,
    relations: HashMap<u32, Standing>,
    type_names: HashMap<u32, TypeName>,
    /// The relation of the last change: most changes are of the same table as the one before.
    latest: Option<(u32, Rows)>,
    in_transaction: bool,
    /// The transaction at hand: its number and where it commits.
    transaction: (u32, Lsn),
    committed: Lsn,
    /// When the latest transaction was committed.
    commit_time: Option<SystemTime>,
    changes: u64,
    /// Tables that the last look found not to be what they were.
    lost: Vec<(TableId, Fault)>,
}

/// What a relation is to this job.
#[derive(Debug, Clone, Copy)]
enum Standing {
    Followed(Rows),
    /// Published, and not selected: somebody else's.
    Ignored,
    /// A partition of a table whose changes come under the table's own name.
    Partition(TableId),
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Routed {
    Done,
    /// It has to come again, after [`Router::learn`].
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
    /// Of tables whose targets are as they are, as they were found with this visibility.
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

    /// The end of the last whole transaction that was handed on.
    pub fn committed(&self) -> Lsn {
        self.committed
    }

    /// Nothing was handed on of what commits from here on. Rows of a transaction go on before it is whole, so this is
    /// beyond the last whole one while another is being received.
    pub fn reached(&self) -> Lsn {
        let (_, commit) = self.transaction;
        self.committed.max(Lsn(commit.0.saturating_add(u64::from(commit > Lsn(0)))))
    }

    /// When the latest transaction was committed, by the server's clock.
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

    /// A new connection: the server begins with a whole transaction and announces everything again.
    pub fn reconnected(&mut self) {
        self.in_transaction = false;
    }

    /// The selected tables, in the order of their ids.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.iter().map(Followed::rows)
    }

    /// Whether a look at the catalogue was sure to see the transaction at hand.
    pub fn sees(&self) -> bool {
        self.visibility.sees(self.transaction.0)
    }

    /// The tables as the catalogue shows them, in the order of their ids.
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

    /// What is kept of the tables.
    pub fn noted(&self) -> Noted {
        self.tables.iter().filter_map(Followed::noted).collect()
    }

    /// Hands on what `message` says. Its rows are at `at` and beyond in the block's bytes.
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
        block.begin(commit, time);
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

    /// The rows that a change is of; none when they are not ours or no longer followed.
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

    fn announce(&mut self, relation: &Relation, block: &mut BlockBuilder) -> Result<Routed, Contradiction> {
        self.expect_transaction(true)?;
        self.latest = None;
        let commit = self.transaction.1;
        let owner = owner::of(&self.tables, relation, commit);
        // Partitions are known by a look, as columns are.
        let wants_a_look = match owner {
            Owner::Table(table) => !self.is_halted(table),
            Owner::Nobody => self.tables.iter().any(Followed::is_followed_by_partitions),
            Owner::Partition(_) => false,
        };
        if wants_a_look && !self.sees() {
            return Ok(Routed::NotBeforeALook);
        }
        for (table, fault) in owner::replaced(&self.tables, relation, commit) {
            self.halt(table, fault, block);
        }
        let selected = if let Owner::Table(table) = owner { Some(table) } else { None };
        self.check_identity(relation, selected, block);
        let columns = relation.columns.len();
        let standing = match owner {
            Owner::Table(table) => Standing::Followed(Rows { table, columns }),
            Owner::Partition(root) => Standing::Partition(root),
            Owner::Nobody => Standing::Ignored,
        };
        self.relations.insert(relation.oid, standing);
        if let Some(table) = selected {
            self.reshape(table, relation, block);
        }
        Ok(Routed::Done)
    }

    fn reshape(&mut self, id: TableId, relation: &Relation, block: &mut BlockBuilder) {
        let Some(table) = self.tables.get_mut(id.0 as usize).filter(|table| !table.halted) else { return };
        match table.announced(relation, self.transaction.1, &self.type_names) {
            Ok(Some(reshape)) => block.reshape(id, reshape),
            Ok(None) => {}
            Err(fault) => self.halt(id, fault, block),
        }
    }

    /// Its changes should have come under the name of the root: others of it may have gone by unseen.
    fn halt_at_partition(&mut self, root: TableId, relation: u32, block: &mut BlockBuilder) {
        let Some(table) = self.tables.get(root.0 as usize).filter(|table| !table.halted) else { return };
        let fault = replaced::under_another_name(table.rows(), &format!("relation {relation}"));
        self.halt(root, fault, block);
    }

    /// A name that moved to another relation, or a relation that took another name, is not the table we followed.
    fn check_identity(&mut self, relation: &Relation, selected: Option<TableId>, block: &mut BlockBuilder) {
        let was = match self.relations.get(&relation.oid) {
            Some(Standing::Followed(rows)) => Some(rows.table),
            Some(Standing::Ignored | Standing::Partition(_)) | None => None,
        };
        let renamed = was.filter(|was| selected != Some(*was));
        let moved = selected.filter(|table| was != Some(*table) && self.is_announced(*table));
        for id in renamed.into_iter().chain(moved) {
            let Some(table) = self.tables.get(id.0 as usize) else { continue };
            let fault = followed::changed(table.rows(), "it was renamed or replaced by another table");
            self.halt(id, fault, block);
        }
    }

    fn is_announced(&self, table: TableId) -> bool {
        let is_it = |standing: &Standing| matches!(standing, Standing::Followed(rows) if rows.table == table);
        self.relations.values().any(is_it)
    }

    /// A change of the relation is left out: its table cannot be followed beyond it.
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
