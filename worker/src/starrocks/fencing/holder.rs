//! What a worker that may load records of itself in its claim.

use std::sync::Arc;

use super::takeover::Position;
use crate::starrocks::{
    bookkeeping::claim::{Claim, SlotIdentity, Standing},
    load::journal::Journal,
};

#[derive(Debug)]
pub(super) struct ClaimHolder {
    pub(super) slot: SlotIdentity,
    pub(super) journal: Arc<Journal>,
    pub(super) position: Position,
    /// Whether everything that was loaded is before the position.
    pub(super) drained: bool,
    /// `moment` of the claim that was written last.
    pub(super) moment: String,
}

impl ClaimHolder {
    /// The same claim, for a stream that continues from `position`.
    pub(super) fn again(&self, position: Position) -> Self {
        let durable = self.position.durable.max(position.durable);
        let (slot, journal) = (self.slot.clone(), Arc::clone(&self.journal));
        let position = Position { durable, ..position };
        Self { slot, journal, position, drained: false, moment: self.moment.clone() }
    }

    /// What the last claim of an orderly shutdown says.
    pub(super) fn standing_at_the_end(&self) -> Standing {
        if self.drained { Standing::Ended } else { Standing::Quiet }
    }

    pub(super) fn claim(&self, standing: Standing) -> Claim {
        let Position { timeline, durable } = self.position;
        let (journal, moment) = (self.journal.name().to_owned(), self.moment.clone());
        Claim { journal, standing, timeline: Some(timeline), durable, moment }
    }
}
