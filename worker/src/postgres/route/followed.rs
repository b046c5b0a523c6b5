//! One table, as the stream and the catalogue know it.

use std::sync::Arc;

use crds::Reason;

use super::shape::{self, TypeNames, Unclear};
use crate::{
    change::{Aim, Reshape},
    fault::{Fault, Part},
    history::{Shape, see},
    lsn::Lsn,
    postgres::{pgoutput::Relation, sql},
    table::Table,
};

#[derive(Debug)]
pub(super) struct Followed {
    /// As the catalogue shows it, or what is in its way there.
    now: Result<Table, Fault>,
    /// As its rows come.
    rows: Arc<Table>,
    /// As the target was told to become.
    target: Table,
    shapes: Vec<Shape>,
    pub(super) halted: bool,
}

impl Followed {
    /// The target is as `table`.
    pub(super) fn new(table: Table, shapes: Vec<Shape>) -> Self {
        Self { now: Ok(table.clone()), rows: Arc::new(table.clone()), target: table, shapes, halted: false }
    }

    pub(super) fn rows(&self) -> &Arc<Table> {
        &self.rows
    }

    pub(super) fn learn(&mut self, now: Result<Table, Fault>) {
        self.now = now;
    }

    /// What follows from an announcement in the transaction that commits at `commit`; nothing when its rows are as
    /// those before.
    pub(super) fn announced(
        &mut self,
        relation: &Relation,
        commit: Lsn,
        type_names: &TypeNames,
    ) -> Result<Option<Reshape>, Fault> {
        let now = self.now.clone()?;
        if key_numbers(&now) != key_numbers(&self.target) {
            return Err(changed(&self.target, "its primary key is another"));
        }
        let unclear = |unclear: Unclear| unclear_fault(&now, &unclear);
        let columns = shape::columns(relation, &now, &self.shapes, commit, type_names).map_err(unclear)?;
        let rows = shape::table(relation, &columns, &now, type_names).map_err(unclear)?;
        if !shape::identity_holds_key(&rows, relation) {
            return Err(identity_fault(&now));
        }
        see(&mut self.shapes, commit, columns);
        Ok(self.reshaped(rows, now))
    }

    fn reshaped(&mut self, rows: Table, now: Table) -> Option<Reshape> {
        let target = (now != self.target).then(|| Aim { table: now.clone(), shapes: self.shapes.clone() });
        if target.is_none() && rows == *self.rows {
            return None;
        }
        (self.rows, self.target) = (Arc::new(rows), now);
        Some(Reshape { rows: Arc::clone(&self.rows), target: target.map(Arc::new) })
    }
}

fn key_numbers(table: &Table) -> Vec<i32> {
    table.key.iter().filter_map(|place| table.columns.get(*place)).map(|column| column.number).collect()
}

/// The table is not what it was, in a way that cannot be followed.
pub(super) fn changed(table: &Table, difference: &str) -> Fault {
    fault(
        table,
        Reason::SourceSchemaChanged,
        format!("{} is not the table it was: {difference}", table.name),
        format!(
            "drop the target table {} and restart the job: the target is made anew, and has to be filled anew",
            table.target
        ),
    )
}

fn unclear_fault(table: &Table, unclear: &Unclear) -> Fault {
    let Unclear::Reused(column) = unclear else { return changed(table, &unclear.to_string()) };
    let (name, target) = (sql::table(&table.name), &table.target);
    fault(
        table,
        Reason::SourceSchemaChanged,
        format!("{} is not the table it was: {unclear}", table.name),
        format!(
            "drop column {column} of {target} in StarRocks and restart the job; then run UPDATE {name} SET {0} = {0}, \
             so that every row is sent again",
            sql::identifier(column)
        ),
    )
}

fn identity_fault(table: &Table) -> Fault {
    fault(
        table,
        Reason::ReplicaIdentityInsufficient,
        format!("the replica identity of {} does not hold its whole primary key", table.name),
        format!("run ALTER TABLE {} REPLICA IDENTITY DEFAULT and recreate the job", sql::table(&table.name)),
    )
}

fn fault(table: &Table, reason: Reason, message: String, fix: String) -> Fault {
    Fault::halt(Part::Table(table.name.clone()), reason, message, fix)
}
