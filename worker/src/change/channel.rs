//! The channel of blocks from the reader to the pipeline, bounded in bytes, however large the blocks are.
//!
//! A block takes its room until the pipeline has processed it. A block larger than the channel takes all of the room.

use std::{ops::Deref, sync::Arc};

use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{self, error::TrySendError},
};

use super::Block;

/// Room is counted in units of this many bytes.
const UNIT: usize = 4 << 10;

/// Both ends of a channel for `bytes` bytes.
pub fn channel(bytes: usize) -> (ChannelSender, mpsc::Receiver<ReceivedBlock>) {
    let width = units(bytes);
    // Every block takes at least one unit.
    let (blocks, receiver) = mpsc::channel(width as usize);
    (
        ChannelSender {
            blocks,
            room: Arc::new(Semaphore::new(width as usize)),
            width,
            behind: Room::default(),
        },
        receiver,
    )
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, Semaphore::MAX_PERMITS as u32)
}

/// The room behind a channel.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Bytes that the pipeline holds at most.
    pub buffer: usize,
    /// Memory limit of the process in bytes; `None` without a limit.
    pub memory: Option<u64>,
}

impl Default for Room {
    fn default() -> Self {
        Self { buffer: usize::MAX, memory: None }
    }
}

/// The sender of the reader. There is only one, so a block that has room now has room until it enters.
#[derive(Debug)]
pub struct ChannelSender {
    blocks: mpsc::Sender<ReceivedBlock>,
    room: Arc<Semaphore>,
    width: u32,
    behind: Room,
}

/// Why a block was not sent.
#[derive(Debug)]
pub enum Refused {
    /// There is no room for it yet.
    Full(Block),
    /// The receiver was dropped.
    Gone,
}

impl ChannelSender {
    /// Sets the room behind the channel.
    #[must_use]
    pub fn with_room_behind(self, behind: Room) -> Self {
        Self { behind, ..self }
    }

    pub fn behind(&self) -> Room {
        self.behind
    }

    /// Whether the pipeline has processed every block that was sent.
    pub fn is_clear(&self) -> bool {
        self.room.available_permits() == self.width as usize
    }

    /// Sends a block, if there is room.
    pub fn enter(&self, block: Block) -> Result<(), Refused> {
        if self.is_abandoned() {
            return Err(Refused::Gone);
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(self.room_of(&block)) else {
            return Err(Refused::Full(block));
        };
        self.blocks.try_send(ReceivedBlock { block, _room: room }).map_err(|error| match error {
            TrySendError::Full(refused) => Refused::Full(refused.block),
            TrySendError::Closed(_) => Refused::Gone,
        })
    }

    /// Resolves when the block has room, or when the receiver was dropped.
    pub async fn room_for(&self, block: &Block) {
        tokio::select! {
            room = self.room.acquire_many(self.room_of(block)) => drop(room),
            () = self.blocks.closed() => {}
        }
    }

    /// Whether the receiver was dropped.
    pub fn is_abandoned(&self) -> bool {
        self.blocks.is_closed()
    }

    fn room_of(&self, block: &Block) -> u32 {
        units(block.held_bytes()).min(self.width)
    }
}

/// A block, and the room it takes.
#[derive(Debug)]
pub struct ReceivedBlock {
    block: Block,
    _room: OwnedSemaphorePermit,
}

impl Deref for ReceivedBlock {
    type Target = Block;

    fn deref(&self) -> &Block {
        &self.block
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn block(bytes: usize) -> Block {
        let mut builder = Block::builder();
        builder.bytes_mut().reserve_exact(bytes);
        builder.finish()
    }

    #[tokio::test]
    async fn blocks_enter_until_their_bytes_fill_it() {
        let (sender, mut receiver) = channel(8 * UNIT);
        sender.enter(block(5 * UNIT)).unwrap();
        let Err(Refused::Full(waiting)) = sender.enter(block(4 * UNIT)) else { panic!("there is no room") };
        let first = receiver.recv().await.unwrap();
        assert!(matches!(sender.enter(block(4 * UNIT)), Err(Refused::Full(_))), "it is in use still");
        drop(first);
        sender.enter(waiting).unwrap();
    }

    #[tokio::test]
    async fn a_block_that_is_larger_than_the_channel_has_it_for_itself() {
        let (sender, mut receiver) = channel(8 * UNIT);
        sender.enter(block(1)).unwrap();
        let Err(Refused::Full(large)) = sender.enter(block(100 * UNIT)) else { panic!("it is not alone") };
        receiver.recv().await.unwrap();
        sender.enter(large).unwrap();
        assert!(matches!(sender.enter(block(1)), Err(Refused::Full(_))));
        assert!(receiver.recv().await.unwrap().held_bytes() >= 100 * UNIT);
    }

    #[tokio::test]
    async fn room_is_waited_for_and_nobody_waits_for_a_pipeline_that_is_gone() {
        let (sender, receiver) = channel(UNIT);
        sender.room_for(&block(1)).await;
        sender.enter(block(1)).unwrap();
        let waiting = block(1);
        assert!(timeout(Duration::ZERO, sender.room_for(&waiting)).await.is_err());
        drop(receiver);
        sender.room_for(&waiting).await;
        assert!(matches!(sender.enter(waiting), Err(Refused::Gone)));
    }
}
