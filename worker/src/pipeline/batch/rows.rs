//! Rows that are known to have different keys, for one load.

use std::{sync::Arc, time::SystemTime};

use super::{Batch, ColumnSet, Operation, store::Store};
use crate::{change::Tuple, lsn::Lsn, table::Table};

/// Collects rows of one table and one column set; their keys are not compared.
#[derive(Debug)]
pub struct Rows {
    table: Arc<Table>,
    columns: ColumnSet,
    store: Store,
    span: Option<(Lsn, Lsn)>,
}

impl Rows {
    pub fn new(table: Arc<Table>, columns: ColumnSet) -> Self {
        Self { table, columns, store: Store::default(), span: None }
    }

    /// Adds a row. `values` has one value per column of the table.
    pub fn push(&mut self, operation: Operation, version: Lsn, values: Tuple<'_>) {
        self.store.put_distinct((operation, version), values.as_bytes(), &self.columns);
        let (first, last) = self.span.unwrap_or((version, version));
        self.span = Some((first.min(version), last.max(version)));
    }

    pub fn rows(&self) -> usize {
        self.store.rows()
    }

    /// Memory of the rows, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.store.held_bytes()
    }

    pub fn close(self, synced_at: SystemTime) -> Option<Batch> {
        let Self { table, store, span, .. } = self;
        Some(Batch::new(table, Arc::new(store), 0, span?, synced_at))
    }
}
