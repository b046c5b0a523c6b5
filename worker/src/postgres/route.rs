//! Gives each change to its table: messages in, events of a block out.
//!
//! Pure. The rule: a change belongs to one selected table and one transaction. A table whose shape is no longer
//! the one the job was set up with is halted, once, and nothing of it is handed on afterwards; the pipeline then
//! holds the confirmed position, so nothing of it is lost.

mod shape;

use std::{collections::HashMap, ops::Range, sync::Arc, time::SystemTime};

use crds::Reason;

use super::pgoutput::{Message, OldRow, Relation, Row, TypeName};
use crate::{
    change::{BlockBuilder, OldPlace, Place},
    fault::{Fault, Part},
    lsn::Lsn,
    table::{Table, TableId},
};

/// Knows what has been announced, and the place in the stream.
#[derive(Debug)]
pub struct Router {
    tables: Arc<[Table]>,
    relations: HashMap<u32, Standing>,
    type_names: HashMap<u32, TypeName>,
    halted: Vec<bool>,
    /// The relation of the last change: most changes are of the same table as the one before.
    latest: Option<(u32, Followed)>,
    in_transaction: bool,
    committed: Lsn,
    /// When the latest transaction was committed.
    commit_time: Option<SystemTime>,
    changes: u64,
}

/// What a relation is to this job.
#[derive(Debug, Clone, Copy)]
enum Standing {
    Followed(Followed),
    /// Published, and not selected: somebody else's.
    Ignored,
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    table: TableId,
    columns: usize,
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
    pub fn new(tables: Arc<[Table]>) -> Self {
        Self {
            halted: vec![false; tables.len()],
            tables,
            relations: HashMap::new(),
            type_names: HashMap::new(),
            latest: None,
            in_transaction: false,
            committed: Lsn::default(),
            commit_time: None,
            changes: 0,
        }
    }

    /// The end of the last whole transaction that was handed on.
    pub fn committed(&self) -> Lsn {
        self.committed
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

    /// Hands on what `message` says. Its rows are at `at` and beyond in the block's bytes.
    pub fn route(
        &mut self,
        message: Message,
        at: usize,
        block: &mut BlockBuilder,
    ) -> Result<(), Contradiction> {
        match message {
            Message::Insert { relation, new } => {
                let Some(followed) = self.followed(relation)? else { return Ok(()) };
                block.insert(followed.table, place(relation, followed, &new, at)?);
            }
            Message::Update { relation, old, new } => {
                let Some(followed) = self.followed(relation)? else { return Ok(()) };
                let old = old.map(|old| old_place(relation, followed, &old, at)).transpose()?;
                block.update(followed.table, old, place(relation, followed, &new, at)?);
            }
            Message::Delete { relation, old } => {
                let Some(followed) = self.followed(relation)? else { return Ok(()) };
                block.delete(followed.table, old_place(relation, followed, &old, at)?);
            }
            Message::Begin { commit, time } => {
                self.expect_transaction(false).map_err(|_| Contradiction::InsideTransaction)?;
                (self.in_transaction, self.commit_time) = (true, Some(time));
                block.begin(commit, time);
                return Ok(());
            }
            Message::Commit { end } => {
                self.expect_transaction(true)?;
                (self.in_transaction, self.committed) = (false, end);
                block.commit(end);
                return Ok(());
            }
            Message::Relation(relation) => {
                self.announce(*relation, block);
                return Ok(());
            }
            Message::Type(name) => {
                self.type_names.insert(name.oid, *name);
                return Ok(());
            }
            Message::Truncate { relations } => return self.truncate(&relations, block),
            Message::Aside => return Ok(()),
        }
        self.changes += 1;
        Ok(())
    }

    fn expect_transaction(&self, open: bool) -> Result<(), Contradiction> {
        if self.in_transaction == open { Ok(()) } else { Err(Contradiction::OutsideTransaction) }
    }

    /// The table that a change belongs to; none when it is not ours or no longer followed.
    fn followed(&mut self, relation: u32) -> Result<Option<Followed>, Contradiction> {
        self.expect_transaction(true)?;
        if let Some((oid, followed)) = self.latest
            && oid == relation
        {
            return Ok(Some(followed));
        }
        let Standing::Followed(followed) = self.standing(relation)? else { return Ok(None) };
        if self.is_halted(followed.table) {
            return Ok(None);
        }
        self.latest = Some((relation, followed));
        Ok(Some(followed))
    }

    fn standing(&self, relation: u32) -> Result<Standing, Contradiction> {
        self.relations.get(&relation).copied().ok_or(Contradiction::Unannounced(relation))
    }

    fn announce(&mut self, relation: Relation, block: &mut BlockBuilder) {
        self.latest = None;
        let tables = Arc::clone(&self.tables);
        let selected = tables.iter().find(|table| is_named(table, &relation));
        self.check_identity(&relation, selected, block);
        let standing = match selected {
            None => Standing::Ignored,
            Some(table) => {
                if let Some(difference) = shape::difference(table, &relation, &self.type_names) {
                    self.halt_changed(table, &difference, block);
                } else if !shape::identity_holds_key(table, &relation) {
                    self.halt(table, identity_fault(table), block);
                }
                Standing::Followed(Followed { table: table.id, columns: relation.columns.len() })
            }
        };
        self.relations.insert(relation.oid, standing);
    }

    /// A name that moved to another relation, or a relation that took another name, is not the table we followed.
    fn check_identity(&mut self, relation: &Relation, selected: Option<&Table>, block: &mut BlockBuilder) {
        let was = match self.relations.get(&relation.oid) {
            Some(Standing::Followed(followed)) => Some(followed.table),
            Some(Standing::Ignored) | None => None,
        };
        let renamed = was.filter(|was| selected.is_none_or(|table| table.id != *was));
        let moved = selected.filter(|table| was != Some(table.id) && self.is_announced(table.id));
        let tables = Arc::clone(&self.tables);
        for table in renamed.and_then(|id| tables.get(id.0 as usize)).into_iter().chain(moved) {
            self.halt_changed(table, "it was renamed or replaced by another table", block);
        }
    }

    fn is_announced(&self, table: TableId) -> bool {
        let is_it =
            |standing: &Standing| matches!(standing, Standing::Followed(followed) if followed.table == table);
        self.relations.values().any(is_it)
    }

    fn truncate(&mut self, relations: &[u32], block: &mut BlockBuilder) -> Result<(), Contradiction> {
        for relation in relations {
            if let Some(followed) = self.followed(*relation)? {
                block.truncate(followed.table);
            }
        }
        Ok(())
    }

    fn halt_changed(&mut self, table: &Table, difference: &str, block: &mut BlockBuilder) {
        self.halt(table, schema_fault(table, difference), block);
    }

    fn halt(&mut self, table: &Table, fault: Fault, block: &mut BlockBuilder) {
        self.latest = None;
        let Some(halted) = self.halted.get_mut(table.id.0 as usize) else { return };
        if !std::mem::replace(halted, true) {
            block.halt(table.id, fault);
        }
    }

    fn is_halted(&self, table: TableId) -> bool {
        self.halted.get(table.0 as usize).copied().unwrap_or(true)
    }
}

fn is_named(table: &Table, relation: &Relation) -> bool {
    table.name.schema == relation.schema && table.name.name == relation.name
}

fn old_place(relation: u32, followed: Followed, old: &OldRow, at: usize) -> Result<OldPlace, Contradiction> {
    Ok(match old {
        OldRow::Key(row) => OldPlace::Key(place(relation, followed, row, at)?),
        OldRow::Full(row) => OldPlace::Full(place(relation, followed, row, at)?),
    })
}

fn place(relation: u32, followed: Followed, row: &Row, at: usize) -> Result<Place, Contradiction> {
    if row.columns != followed.columns {
        return Err(Contradiction::Width(relation));
    }
    let Range { start, end } = row.place;
    let beyond = |offset: usize| u32::try_from(at + offset).map_err(|_| Contradiction::TooFar);
    Ok(beyond(start)?..beyond(end)?)
}

fn schema_fault(table: &Table, difference: &str) -> Fault {
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::SourceSchemaChanged,
        format!("{} is not the table this job was set up with: {difference}", table.name),
        format!(
            "make the target {} fit and restart the job; if it halts again, recreate the job",
            table.target
        ),
    )
}

fn identity_fault(table: &Table) -> Fault {
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::ReplicaIdentityInsufficient,
        format!("the replica identity of {} does not hold its whole primary key", table.name),
        format!(
            "run ALTER TABLE {} REPLICA IDENTITY DEFAULT and recreate the job",
            super::sql::table(&table.name)
        ),
    )
}

#[cfg(test)]
mod tests;
