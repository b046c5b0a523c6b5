//! Assigns an announced relation to a table of the job.
//!
//! Pure. A table is identified by the relation's oid, which its schema history records; by its name only where none is
//! recorded. Changes that were committed before the table was recorded may be of another relation that had its name.

use super::followed::Followed;
use crate::{
    fault::{Fault, take_anew},
    lsn::Lsn,
    postgres::{pgoutput::Relation, replaced},
    table::TableId,
};

/// The table that a relation belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Table(TableId),
    /// A partition of the table.
    Partition(TableId),
    None,
}

pub(super) fn of(tables: &[Followed], relation: &Relation, commit: Lsn) -> Owner {
    let is_its = |table: &&Followed| match table.identity() {
        // Under any name, from the position at which it was recorded.
        Some(identity) if identity.relation == relation.oid => {
            commit >= identity.since || is_named(table, relation)
        }
        Some(_) => false,
        None => is_named(table, relation),
    };
    if let Some(table) = tables.iter().find(is_its) {
        return Owner::Table(table.rows().id);
    }
    let root = tables.iter().find(|table| table.partitions.contains(&relation.oid));
    root.map_or(Owner::None, |root| Owner::Partition(root.rows().id))
}

/// Faults of tables whose name the relation has although it is another relation.
pub(super) fn replaced(tables: &[Followed], relation: &Relation, commit: Lsn) -> Vec<(TableId, Fault)> {
    let is_replaced = |table: &&Followed| {
        is_named(table, relation)
            && table.identity().is_some_and(|known| known.relation != relation.oid && commit >= known.since)
    };
    let fault = |table: &Followed| {
        let rows = table.rows();
        (rows.id, replaced::replaced(&rows.name, None, take_anew(rows)))
    };
    tables.iter().filter(|table| !table.halted).filter(is_replaced).map(fault).collect()
}

fn is_named(table: &Followed, relation: &Relation) -> bool {
    let name = &table.rows().name;
    name.schema == relation.schema && name.name == relation.name
}
