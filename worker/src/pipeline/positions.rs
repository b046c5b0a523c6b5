//! Positions that single tables have reached in their targets, beyond the confirmed position of the job.

use std::collections::HashMap;

use crate::{lsn::Lsn, table::TableName};

/// Per table the position before which everything that the source committed is in the target. For tables without an
/// entry only the confirmed position holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TablePositions(HashMap<TableName, Lsn>);

impl TablePositions {
    pub(crate) fn new(tables: impl IntoIterator<Item = (TableName, Lsn)>) -> Self {
        Self(tables.into_iter().collect())
    }

    pub(crate) fn forget(&mut self, table: &TableName) {
        self.0.remove(table);
    }

    pub(super) fn of(&self, table: &TableName) -> Lsn {
        self.0.get(table).copied().unwrap_or_default()
    }
}
