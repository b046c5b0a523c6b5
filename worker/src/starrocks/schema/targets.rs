//! The targets after preparation: which are ready, which are halted, and which are not ready yet.

use std::{collections::HashMap, sync::Arc};

use crate::{
    change::Aim,
    fault::Fault,
    lsn::Lsn,
    schema_history::{SchemaHistory, SourceIdentity},
    starrocks::bookkeeping::{owners::Claimant, schema_histories::SchemaHistories},
    table::{Table, TableId},
};

/// The targets after preparation.
#[derive(Debug, Default)]
pub struct Targets {
    /// Tables that cannot be loaded, with the fault that a person has to remove.
    pub halted: Vec<(TableId, Fault)>,
    /// The history of each other table.
    pub histories: Vec<(TableId, SchemaHistory)>,
    /// Targets that were not ready within the time limit: nothing is loaded into them until they are.
    pub unfinished: Vec<(TableId, Arc<Aim>)>,
    /// Tables whose histories differ from the stored ones.
    pub(in crate::starrocks) unkept: Vec<TableId>,
    /// Where each of those begins, by the target's name.
    pub(in crate::starrocks) beginnings: HashMap<String, Beginning>,
    /// Targets of tables that the job no longer has, with their histories.
    pub(in crate::starrocks) left: Vec<(String, SchemaHistory)>,
}

/// Where a target begins that was not ready at the start: until it is, nothing is kept of it.
#[derive(Debug, Clone)]
pub(crate) struct Beginning {
    pub(super) before: Option<SchemaHistory>,
    pub(super) source: SourceIdentity,
}

impl Targets {
    /// Whether the history of the table is new or has changed.
    pub fn is_new(&self, table: TableId) -> bool {
        self.unkept.contains(&table)
    }

    pub fn history(&self, table: TableId) -> Option<&SchemaHistory> {
        self.histories.iter().find(|(id, _)| *id == table).map(|(_, history)| history)
    }

    /// Changes the history of a table; it is written before the first load.
    pub fn change(&mut self, table: &Table, change: impl Fn(SchemaHistory) -> SchemaHistory) {
        let Some((_, history)) = self.histories.iter_mut().find(|(id, _)| *id == table.id) else { return };
        *history = change(history.clone());
        match self.beginnings.get_mut(&table.target) {
            // It is written when the target is ready.
            Some(beginning) => beginning.before = beginning.before.take().map(change),
            None if self.unkept.contains(&table.id) => {}
            None => self.unkept.push(table.id),
        }
    }

    /// Adds tables that have a history and no longer belong to the job: their changes from `at` on are never sent again.
    pub fn leave(
        &mut self,
        kept: &SchemaHistories,
        claimant: &Claimant,
        has: impl Fn(&str) -> bool,
        at: Lsn,
    ) {
        let is_left = |(target, history): &(&String, &SchemaHistory)| {
            !has(target) && history.left.is_none() && claimant.is_own(history)
        };
        let left = kept.iter().filter(is_left);
        self.left.extend(
            left.map(|(target, history)| {
                (target.clone(), SchemaHistory { left: Some(at), ..history.clone() })
            }),
        );
    }

    /// `noted` is the stored history.
    pub(super) fn add(&mut self, table: &Table, history: SchemaHistory, noted: Option<&SchemaHistory>) {
        if noted.is_none_or(|noted| !noted.is_kept_as(&history)) {
            self.unkept.push(table.id);
        }
        self.histories.push((table.id, history));
    }

    /// Adds an unfinished target. Its table's rows are routed as if it were ready; the lane waits until it is.
    pub(super) fn wait_for(
        &mut self,
        table: &Table,
        before: Option<&SchemaHistory>,
        source: &SourceIdentity,
    ) {
        let history = before.cloned().unwrap_or_else(|| SchemaHistory::beginning(table, Vec::new()));
        let history = of_source(history, before, source);
        let aim = Aim { table: table.clone(), shapes: history.shapes.clone() };
        self.unfinished.push((table.id, Arc::new(aim)));
        let beginning = Beginning { before: before.cloned(), source: source.clone() };
        self.beginnings.insert(table.target.clone(), beginning);
        self.histories.push((table.id, history));
    }
}

/// The history with the current identity of the source table. A history of an earlier version of the worker has no
/// position from which on the table is this relation, so it counts from the beginning.
pub(super) fn of_source(
    history: SchemaHistory,
    before: Option<&SchemaHistory>,
    now: &SourceIdentity,
) -> SchemaHistory {
    let source = match before {
        None => now.clone(),
        Some(before) => {
            let known = SourceIdentity { since: Lsn(0), ..SourceIdentity::default() };
            before.source.as_ref().unwrap_or(&known).renewed(now.clone())
        }
    };
    let (from, whole) = match before {
        None => (Some(now.since), now.empty),
        Some(before) => (before.from, before.whole),
    };
    SchemaHistory { source: Some(source), from, whole, ..history }
}
