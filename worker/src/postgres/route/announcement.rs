//! An announced relation: which table it belongs to, whether it is still the same one, and its columns.

use super::{
    Contradiction, Routed, Router, Standing,
    followed::{self, Followed},
    owner::{self, Owner},
    place::Rows,
};
use crate::{
    change::BlockBuilder,
    postgres::{pgoutput::Relation, replaced},
    table::TableId,
};

impl Router {
    pub(super) fn announce(
        &mut self,
        relation: &Relation,
        block: &mut BlockBuilder,
    ) -> Result<Routed, Contradiction> {
        self.expect_transaction(true)?;
        self.latest = None;
        let commit = self.transaction.1;
        let owner = owner::of(&self.tables, relation, commit);
        // Partitions, like columns, are known only from the catalogue.
        let wants_a_look = match owner {
            Owner::Table(table) => !self.is_halted(table),
            Owner::None => self.tables.iter().any(Followed::is_followed_by_partitions),
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
            Owner::None => Standing::Ignored,
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

    /// Halts the partitioned table of a relation whose changes came under its own name: earlier ones may have been missed.
    pub(super) fn halt_at_partition(&mut self, root: TableId, relation: u32, block: &mut BlockBuilder) {
        let Some(table) = self.tables.get(root.0 as usize).filter(|table| !table.halted) else { return };
        let fault = replaced::under_another_name(table.rows(), &format!("relation {relation}"));
        self.halt(root, fault, block);
    }

    /// Halts a table whose name moved to another relation, or whose relation took another name.
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
}
