//! What a worker that has the right to load says of itself.

use std::sync::Arc;

use super::{
    super::{
        claim::{Claim, SlotIdentity, Standing},
        journal::Journal,
    },
    Position,
};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) slot: SlotIdentity,
    pub(super) journal: Arc<Journal>,
    pub(super) position: Position,
    /// Whether everything that was loaded is below the position.
    pub(super) drained: bool,
}

impl Held {
    /// The right is kept, and the stream goes on from there.
    pub(super) fn again(&self, position: Position) -> Self {
        let durable = self.position.durable.max(position.durable);
        let (slot, journal) = (self.slot.clone(), Arc::clone(&self.journal));
        Self { slot, journal, position: Position { durable, ..position }, drained: false }
    }

    /// Names a timeline while no other can hold what was loaded.
    pub(super) fn claim(&self, standing: Standing) -> Claim {
        let Position { timeline, durable } = self.position;
        let timeline = (standing == Standing::Loading || self.drained).then_some(timeline);
        Claim { journal: self.journal.name().to_owned(), standing, timeline, durable }
    }
}
