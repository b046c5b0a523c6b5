//! What each table has done.

use std::collections::BTreeMap;

use super::Losses;
use crate::table::TableName;

/// What one table has done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableProgress {
    pub rows: u64,
    pub bytes: u64,
    pub loads: u64,
    pub failed_loads: u64,
    /// Values that were altered by the job's rules.
    pub losses: Losses,
    /// Rows that StarRocks refused and that are parked.
    pub dead_letters: u64,
    /// The target is known to have every row of the source.
    pub whole: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    /// Those of the job; what is counted may be of tables of the worker's own, or of tables that were left.
    pub(super) selected: Vec<TableName>,
    pub(super) counted: BTreeMap<TableName, TableProgress>,
}

impl Tables {
    /// The job has these from now on; what was counted of those that stay is kept.
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
