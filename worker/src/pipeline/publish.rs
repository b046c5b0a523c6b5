//! Tells the source and the board how far everything is.

use tokio::sync::watch;

use super::ledger::Ledger;
use crate::{lsn::Lsn, progress::Progress};

/// The durable position only moves forward; who waits for it is woken only when it does.
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
