//! The durable position of the job, as it is published; and positions that single tables have reached beyond the
//! confirmed one.

use std::collections::HashMap;

use tokio::sync::watch;

use super::ledger::Ledger;
use crate::{lsn::Lsn, progress::Progress, table::TableName};

/// Publishes the durable position to the source and to [`Progress`].
///
/// The durable position only moves forward; receivers are woken only when it moved.
pub(super) fn publish(ledger: &Ledger, held_bytes: usize, durable: &watch::Sender<Lsn>, progress: &Progress) {
    let position = ledger.durable();
    durable.send_if_modified(|known| {
        let moved = position > *known;
        *known = position.max(*known);
        moved
    });
    progress.durable(position);
    progress.oldest_pending(ledger.oldest());
    progress.held_bytes(held_bytes);
}

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
