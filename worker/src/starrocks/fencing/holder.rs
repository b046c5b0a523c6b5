//! A worker that may load: for how long, up to which position, and what it records of itself in its claim.

use std::sync::Arc;

use crate::{
    lsn::Lsn,
    starrocks::{
        bookkeeping::claim::{Claim, SlotIdentity, Standing},
        load::journal::Journal,
    },
};

/// A period in which no other worker loads for the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    pub wins: u64,
    pub timeline: Option<u32>,
}

/// The position of a slot's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub timeline: u32,
    /// Everything before this position is in StarRocks.
    pub durable: Lsn,
}

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
