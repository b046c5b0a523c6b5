//! What a worker that has the right to load says of itself.

use std::sync::Arc;

use super::{
    claim::{Claim, SlotIdentity, Standing},
    journal::Journal,
    takeover::Position,
};

#[derive(Debug)]
pub(super) struct ClaimHolder {
    pub(super) slot: SlotIdentity,
    pub(super) journal: Arc<Journal>,
    pub(super) position: Position,
    /// Whether everything that was loaded is below the position.
    pub(super) drained: bool,
    /// Of the claim that was written last.
    pub(super) moment: String,
}

impl ClaimHolder {
    /// The right is kept, and the stream goes on from there.
    pub(super) fn again(&self, position: Position) -> Self {
        let durable = self.position.durable.max(position.durable);
        let (slot, journal) = (self.slot.clone(), Arc::clone(&self.journal));
        let position = Position { durable, ..position };
        Self { slot, journal, position, drained: false, moment: self.moment.clone() }
    }

    /// What it says of itself at its end.
    pub(super) fn standing_at_the_end(&self) -> Standing {
        if self.drained { Standing::Ended } else { Standing::Quiet }
    }

    pub(super) fn claim(&self, standing: Standing) -> Claim {
        let Position { timeline, durable } = self.position;
        let (journal, moment) = (self.journal.name().to_owned(), self.moment.clone());
        Claim { journal, standing, timeline: Some(timeline), durable, moment }
    }
}
