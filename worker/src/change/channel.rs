//! The channel of blocks from the reader to the pipeline: so many bytes wide, however large the blocks are.
//!
//! A block has its room until the pipeline is done with it. One that is larger than the channel has all of it.

use std::{ops::Deref, sync::Arc};

use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{self, error::TrySendError},
};

use super::Block;

/// Room is counted in these.
const UNIT: usize = 4 << 10;

/// Both ends of a channel that is so many bytes wide.
pub fn channel(bytes: usize) -> (ChannelSender, mpsc::Receiver<ReceivedBlock>) {
    let width = units(bytes);
    // Every block takes a unit at least.
    let (blocks, exit) = mpsc::channel(width as usize);
    (
        ChannelSender {
            blocks,
            room: Arc::new(Semaphore::new(width as usize)),
            width,
            behind: Room::default(),
        },
        exit,
    )
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, Semaphore::MAX_PERMITS as u32)
}

/// What there is room for behind a channel.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Bytes that the pipeline gathers at most.
    pub buffer: usize,
    /// Bytes that the process may take; none for no limit.
    pub memory: Option<u64>,
}

impl Default for Room {
    fn default() -> Self {
        Self { buffer: usize::MAX, memory: None }
    }
}

/// Where the reader puts blocks. There is one, so what has room now has room until it enters.
#[derive(Debug)]
pub struct ChannelSender {
    blocks: mpsc::Sender<ReceivedBlock>,
    room: Arc<Semaphore>,
    width: u32,
    behind: Room,
}

/// Why a block did not enter.
#[derive(Debug)]
pub enum Refused {
    /// There is no room for it yet.
    Full(Block),
    /// Nobody takes blocks any more.
    Gone,
}

impl ChannelSender {
    /// There is so much room behind it.
    #[must_use]
    pub fn with_room_behind(self, behind: Room) -> Self {
        Self { behind, ..self }
    }

    pub fn behind(&self) -> Room {
        self.behind
    }

    /// The pipeline is done with everything that entered.
    pub fn is_clear(&self) -> bool {
        self.room.available_permits() == self.width as usize
    }

    /// Lets a block in, if there is room.
    pub fn enter(&self, block: Block) -> Result<(), Refused> {
        if self.is_abandoned() {
            return Err(Refused::Gone);
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(self.room_of(&block)) else {
            return Err(Refused::Full(block));
        };
        self.blocks.try_send(ReceivedBlock { block, _room: room }).map_err(|error| match error {
            TrySendError::Full(passing) => Refused::Full(passing.block),
            TrySendError::Closed(_) => Refused::Gone,
        })
    }

    /// Resolves when the block has room, or when nobody takes blocks any more.
    pub async fn room_for(&self, block: &Block) {
        tokio::select! {
            room = self.room.acquire_many(self.room_of(block)) => drop(room),
            () = self.blocks.closed() => {}
        }
    }

    /// The pipeline is gone.
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
        let (entrance, mut exit) = channel(8 * UNIT);
        entrance.enter(block(5 * UNIT)).unwrap();
        let Err(Refused::Full(waiting)) = entrance.enter(block(4 * UNIT)) else { panic!("there is no room") };
        let first = exit.recv().await.unwrap();
        assert!(matches!(entrance.enter(block(4 * UNIT)), Err(Refused::Full(_))), "it is in use still");
        drop(first);
        entrance.enter(waiting).unwrap();
    }

    #[tokio::test]
    async fn a_block_that_is_larger_than_the_passage_has_it_for_itself() {
        let (entrance, mut exit) = channel(8 * UNIT);
        entrance.enter(block(1)).unwrap();
        let Err(Refused::Full(large)) = entrance.enter(block(100 * UNIT)) else { panic!("it is not alone") };
        exit.recv().await.unwrap();
        entrance.enter(large).unwrap();
        assert!(matches!(entrance.enter(block(1)), Err(Refused::Full(_))));
        assert!(exit.recv().await.unwrap().held_bytes() >= 100 * UNIT);
    }

    #[tokio::test]
    async fn room_is_waited_for_and_nobody_waits_for_a_pipeline_that_is_gone() {
        let (entrance, exit) = channel(UNIT);
        entrance.room_for(&block(1)).await;
        entrance.enter(block(1)).unwrap();
        let waiting = block(1);
        assert!(timeout(Duration::ZERO, entrance.room_for(&waiting)).await.is_err());
        drop(exit);
        entrance.room_for(&waiting).await;
        assert!(matches!(entrance.enter(waiting), Err(Refused::Gone)));
    }
}
