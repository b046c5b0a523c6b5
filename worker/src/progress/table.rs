//! Progress per table.

use std::collections::BTreeMap;

use super::Losses;
use crate::table::TableName;

/// Counters of one table since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableProgress {
    pub rows: u64,
    pub bytes: u64,
    pub loads: u64,
    pub failed_loads: u64,
    /// Values that were altered by the job's rules.
    pub losses: Losses,
    /// Rows that StarRocks refused and that are stored as dead letters.
    pub dead_letters: u64,
    /// Whether the target is known to have every row of the source.
    pub whole: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    /// The tables of the job. `counted` may also contain the worker's own tables, and deselected ones.
    pub(super) selected: Vec<TableName>,
    pub(super) counted: BTreeMap<TableName, TableProgress>,
}

impl Tables {
    /// Sets the tables of the job; counters of tables that stay are kept.
    pub(super) fn select(&mut self, names: &[TableName]) {
        self.selected = names.to_vec();
        self.counted.retain(|name, _| names.contains(name));
        for name in names {
            self.of(name);
        }
    }

    pub(super) fn of(&mut self, name: &TableName) -> &mut TableProgress {
        self.counted.entry(name.clone()).or_default()
    }
}
