//! The state of one replicated table in the router: as the stream, the catalogue and the target have it.

use std::sync::Arc;

use crds::Reason;

use super::shape::{self, TypeNames, Unclear};
use crate::{
    change::{Aim, Reshape},
    fault::{Fault, Part, drop_column, send_again, take_anew},
    lsn::Lsn,
    postgres::{pgoutput::Relation, sql},
    schema_history::{SchemaHistory, Shape, SourceIdentity, see},
    table::{Table, TableId, TableName},
};

#[derive(Debug)]
pub(super) struct Followed {
    /// As the catalogue shows it, or its fault there.
    now: Result<Table, Fault>,
    /// With the columns of its rows in the stream.
    rows: Arc<Table>,
    /// With the columns that the target has, or was last asked to get.
    target: Table,
    shapes: Vec<Shape>,
    /// The recorded source identity; `None` where none is recorded.
    identity: Option<SourceIdentity>,
    /// The oids of its partitions, as of the last catalogue query.
    pub(super) partitions: Vec<u32>,
    pub(super) halted: bool,
}

impl Followed {
    /// A table whose target has the columns of `table`.
    pub(super) fn new(table: Table, history: SchemaHistory) -> Self {
        let SchemaHistory { shapes, source: identity, .. } = history;
        let partitions = identity.as_ref().map(|identity| identity.partitions.clone()).unwrap_or_default();
        let (now, rows) = (Ok(table.clone()), Arc::new(table.clone()));
        Self { now, rows, target: table, shapes, identity, partitions, halted: false }
    }

    pub(super) fn identity(&self) -> Option<&SourceIdentity> {
        self.identity.as_ref()
    }

    pub(super) fn noted(&self) -> Option<(TableName, Option<SourceIdentity>)> {
        let identity = self.identity.clone()?;
        Some((self.rows.name.clone(), Some(identity)))
    }

    /// Whether it has partitions, whose changes have to come under its own name.
    pub(super) fn is_followed_by_partitions(&self) -> bool {
        !self.halted && !self.partitions.is_empty()
    }

    /// The fault of a table that was replaced, is missing, or is published differently.
    pub(super) fn lost(&self) -> Option<(TableId, Fault)> {
        let fault = self.now.as_ref().err().filter(|_| !self.halted)?;
        let is_lost = matches!(
            fault.reason,
            Reason::SourceTableReplaced | Reason::PublicationChanged | Reason::SourceTableMissing
        );
        is_lost.then(|| (self.rows.id, fault.clone()))
    }

    pub(super) fn rows(&self) -> &Arc<Table> {
        &self.rows
    }

    pub(super) fn learn(&mut self, now: Result<Table, Fault>) {
        self.now = now;
    }

    /// Handles an announcement in the transaction that commits at `commit`; `None` when rows and target keep their
    /// columns.
    pub(super) fn announced(
        &mut self,
        relation: &Relation,
        commit: Lsn,
        type_names: &TypeNames,
    ) -> Result<Option<Reshape>, Fault> {
        let now = self.now.clone()?;
        if key_numbers(&now) != key_numbers(&self.target) {
            return Err(changed(&self.target, "it has another primary key"));
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
        let target = (!now.has_shape_of(&self.target))
            .then(|| Aim { table: now.clone(), shapes: self.shapes.clone() });
        if target.is_none() && rows.has_shape_of(&self.rows) {
            return None;
        }
        (self.rows, self.target) = (Arc::new(rows), now);
        Some(Reshape { rows: Arc::clone(&self.rows), target: target.map(Arc::new) })
    }
}

fn key_numbers(table: &Table) -> Vec<i32> {
    table.key.iter().filter_map(|place| table.columns.get(*place)).map(|column| column.number).collect()
}

/// The fault of a table that changed in a way that cannot be replicated.
pub(super) fn changed(table: &Table, difference: &str) -> Fault {
    fault(
        table,
        Reason::SourceSchemaChanged,
        format!("{} changed incompatibly: {difference}", table.name),
        take_anew(table),
    )
}

fn unclear_fault(table: &Table, unclear: &Unclear) -> Fault {
    let Unclear::Reused(column) = unclear else { return changed(table, &unclear.to_string()) };
    fault(
        table,
        Reason::SourceSchemaChanged,
        format!("{} changed incompatibly: {unclear}", table.name),
        format!("run {} in StarRocks; then {}", drop_column(&table.target, column), send_again(table)),
    )
}

fn identity_fault(table: &Table) -> Fault {
    fault(
        table,
        Reason::ReplicaIdentityInsufficient,
        format!("the replica identity of {} does not contain its whole primary key", table.name),
        format!(
            "run ALTER TABLE {} REPLICA IDENTITY DEFAULT (of a partitioned table on each partition); what was written \
             before lacks its key, so then {}",
            sql::table(&table.name),
            take_anew(table)
        ),
    )
}

fn fault(table: &Table, reason: Reason, message: String, fix: String) -> Fault {
    Fault::halt(Part::Table(table.name.clone()), reason, message, fix)
}
