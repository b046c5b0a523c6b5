//! How far each table is in the target, beyond what is confirmed for all of them.

use std::collections::HashMap;

use crate::{lsn::Lsn, table::TableName};

/// Of each table the position before which everything the source committed is in the target. Tables that are not
/// named have what was confirmed, and no more.
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
