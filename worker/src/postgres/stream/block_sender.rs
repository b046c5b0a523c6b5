//! Sends blocks to the pipeline without waiting, and keeps those for which the channel has no room.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::blocking_wait;
use crate::change::{Block, ChannelSender, Refused, Room};

#[derive(Debug)]
pub(super) struct BlockSender {
    /// `None` once the reader has sent its last block.
    blocks: Option<ChannelSender>,
    /// Blocks for which there was no room; nothing is read while there is one.
    stash: VecDeque<Block>,
    abandoned: bool,
    /// Since when a large row waits for room.
    pub(super) waiting_since: Option<Instant>,
}

impl BlockSender {
    pub(super) fn new(blocks: ChannelSender) -> Self {
        Self { blocks: Some(blocks), stash: VecDeque::new(), abandoned: false, waiting_since: None }
    }

    pub(super) fn room_behind(&self) -> Room {
        self.blocks.as_ref().map_or_else(Room::default, ChannelSender::behind)
    }

    /// Nothing is stashed or in the channel.
    pub(super) fn is_clear(&self) -> bool {
        self.stash.is_empty() && self.blocks.as_ref().is_none_or(ChannelSender::is_clear)
    }

    /// Sends the block, or keeps it.
    pub(super) fn offer(&mut self, block: Block) {
        self.stash.push_back(block);
        self.send();
    }

    /// No block waits for room.
    pub(super) fn is_empty(&self) -> bool {
        self.stash.is_empty()
    }

    /// Waits for room, at most for `limit`, and sends what it can.
    pub(super) fn wait_for_room(&mut self, limit: Duration) {
        if let (Some(blocks), Some(first)) = (&self.blocks, self.stash.front()) {
            blocking_wait::wait_for(blocks.room_for(first), limit);
        }
        self.send();
    }

    /// Closes the channel: no more blocks will come.
    pub(super) fn close(&mut self) {
        self.blocks = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.blocks.is_none()
    }

    /// The pipeline has dropped its receiver before the channel was closed.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned || self.blocks.as_ref().is_some_and(ChannelSender::is_abandoned)
    }

    fn send(&mut self) {
        let Some(blocks) = &self.blocks else {
            // Blocks after the end belong to an incomplete transaction, which the server will send again.
            self.stash.clear();
            return;
        };
        while let Some(block) = self.stash.pop_front() {
            match blocks.enter(block) {
                Ok(()) => {}
                Err(Refused::Full(block)) => return self.stash.push_front(block),
                Err(Refused::Gone) => {
                    self.abandoned = true;
                    return self.stash.clear();
                }
            }
        }
    }
}
