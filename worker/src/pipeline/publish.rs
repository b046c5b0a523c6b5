//! Publishes the durable position to the source and to [`Progress`].

use tokio::sync::watch;

use super::ledger::Ledger;
use crate::{lsn::Lsn, progress::Progress};

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
