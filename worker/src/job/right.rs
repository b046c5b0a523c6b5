//! The right to load, and what is noted under it.

use tokio::sync::watch;

use crate::{
    hold::{Hold, Right},
    lsn::Lsn,
    starrocks::{Position, SlotIdentity, Takeover, Won},
};

/// Resolves when the slot is ours and nothing of a predecessor can commit any more; without a loader when the reader
/// ended before the slot was ours.
pub(super) async fn right_to_load(
    takeover: &mut Takeover,
    slot: SlotIdentity,
    durable: Lsn,
    mut held: watch::Receiver<Hold>,
) -> Option<Won> {
    let right = Right::new(held.clone());
    let timeline = loop {
        let hold = *held.borrow_and_update();
        if let Hold::Held { timeline } = hold {
            break timeline;
        }
        held.changed().await.ok()?;
    };
    Some(takeover.run(slot, Position { timeline, durable }).await.with_right(right))
}

/// Passes on what is durable when a successor would find it noted, until the pipeline ends. So PostgreSQL is never
/// told a position that nobody knows of, and a slot that is further was moved by somebody else.
pub(super) async fn note(
    takeover: &mut Takeover,
    mut durable: watch::Receiver<Lsn>,
    noted: watch::Sender<Lsn>,
    held: watch::Receiver<Hold>,
) {
    loop {
        let lsn = *durable.borrow_and_update();
        let hold = *held.borrow();
        if let Hold::Held { timeline } = hold
            && takeover.timeline() != Some(timeline)
        {
            takeover.promoted(timeline).await;
        }
        if lsn != *noted.borrow() {
            takeover.reached(lsn).await;
            noted.send_replace(lsn);
        }
        if durable.changed().await.is_err() {
            return;
        }
    }
}
