//! One chunk, at its barrier: a snapshot that sees enough, then its rows in batches.

use std::{convert::Infallible, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{gathering::Gathering, source::ReadRows};
use crate::{
    fault::Fault,
    lsn::Lsn,
    pipeline::{AtBarrier, Bulk, Load, Loaded, Piece},
    postgres::{copy::Sight, visibility::Earlier},
    progress::{CopyStep, Progress},
    schema_history::{Blocks, CopyState},
    table::{Table, TableName},
};

/// The lane does not stand for longer until a transaction is visible.
const UNTIL_SEEN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOK_FOR_LOADS: Duration = Duration::from_millis(250);
/// Bytes that are handed on at once to a bulk load, and bytes of one of its requests, at most.
const PIECE: usize = 256 << 10;
const REQUEST: usize = 4 << 20;

/// How an attempt at a chunk ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Copied {
        rows: u64,
        bytes: u64,
        end: Lsn,
    },
    /// These transactions that were routed are not visible yet, or others that have to be.
    NotSeen {
        unseen: Vec<u32>,
    },
    /// The rows have moved, or partitions have come or gone.
    Moved {
        table: Table,
    },
    /// The table has other columns than its lane.
    Unlike {
        end: Lsn,
    },
    /// The copy was stopped in the middle.
    Stopped,
}

/// What one chunk needs.
pub(super) struct Chunk<'a> {
    pub(super) name: &'a TableName,
    pub(super) blocks: Blocks,
    pub(super) state: &'a CopyState,
    pub(super) earlier: &'a Earlier,
    /// Bytes of a batch.
    pub(super) batch: usize,
    pub(super) progress: &'a Progress,
    pub(super) stop: &'a CancellationToken,
}

impl Chunk<'_> {
    /// Copies the chunk while the lane stands at `barrier`. When it returns, no load is in flight.
    pub(super) async fn copy<L: Load>(
        &self,
        barrier: &AtBarrier,
        reader: &mut impl ReadRows,
        load: &L,
    ) -> Result<Outcome, Fault> {
        if load.takes_bulk(&barrier.rows)
            && let Some(outcome) = self.copy_by(Manner::Bulk, barrier, reader, load).await?
        {
            return Ok(outcome);
        }
        let singly = self.copy_by(Manner::Singly, barrier, reader, load).await?;
        Ok(singly.unwrap_or(Outcome::Stopped))
    }

    /// None when the rows have to be read again and loaded singly.
    async fn copy_by<L: Load>(
        &self,
        manner: Manner,
        barrier: &AtBarrier,
        reader: &mut impl ReadRows,
        load: &L,
    ) -> Result<Option<Outcome>, Fault> {
        self.at(Some(CopyStep::Lock));
        let (leaf, stop) = (Some(self.blocks.leaf), self.stop);
        let sight = match seeing(self.name, leaf, barrier, self.earlier, stop, reader).await? {
            Ok(sight) => sight,
            Err(unseen) => return Ok(Some(Outcome::NotSeen { unseen })),
        };
        if !self.state.is_of(&sight.table.facts.files) {
            reader.leave().await?;
            return Ok(Some(Outcome::Moved { table: sight.table }));
        }
        let Ok(columns) = sight.columns(&barrier.rows) else {
            reader.leave().await?;
            return Ok(Some(Outcome::Unlike { end: sight.end }));
        };
        self.read_and_load(manner, barrier, (sight, columns), reader, load).await
    }

    /// Shows that StarRocks is waited for while nobody takes what was read, or everything was.
    async fn watch(&self, pieces: mpsc::WeakSender<Piece>) -> Infallible {
        let mut waits = false;
        loop {
            sleep(LOOK_FOR_LOADS).await;
            let now = pieces.upgrade().is_none_or(|pieces| pieces.capacity() == 0);
            if now != waits {
                self.at(now.then_some(CopyStep::Load));
                waits = now;
            }
        }
    }

    fn at(&self, step: Option<CopyStep>) {
        self.progress.copy_step(self.name, step);
    }

    async fn read_and_load<L: Load>(
        &self,
        manner: Manner,
        barrier: &AtBarrier,
        (sight, columns): (Sight, Vec<String>),
        reader: &mut impl ReadRows,
        load: &L,
    ) -> Result<Option<Outcome>, Fault> {
        self.at(None);
        let end = sight.end;
        // One piece waits while one is loaded and one is read.
        let (sender, pieces) = mpsc::channel(1);
        let waiting = sender.downgrade();
        let (piece, stop) = (manner.piece(self.batch), self.stop.clone());
        let gathering = Gathering::new(&barrier.rows, barrier.version, piece, sender, stop);
        let reading = reader.copy(sight, columns, self.blocks, gathering);
        let loading = async {
            match manner {
                Manner::Singly => singly(load, pieces, self.stop).await,
                Manner::Bulk => load.load_bulk(&barrier.rows, manner.room(self.batch), pieces).await,
            }
        };
        let (all, loaded) = tokio::select! {
            done = futures::future::join(reading, loading) => done,
            never = self.watch(waiting) => match never {},
        };
        self.at(None);
        if !matches!(all, Ok(true)) {
            reader.end(); // in the middle of its rows
        }
        match loaded? {
            Bulk::Singly => Ok(None),
            Bulk::Durable(Loaded { rows, bytes }) if matches!(all, Ok(true)) => {
                Ok(Some(Outcome::Copied { rows, bytes, end }))
            }
            // All rows may have been read, and the last not loaded.
            Bulk::Durable(_) | Bulk::GivenUp => all.map(|_| Some(Outcome::Stopped)),
        }
    }
}

/// How the rows of a chunk are loaded.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// In few versions.
    Bulk,
    /// Each batch by itself, so that refused rows are found.
    Singly,
}

impl Manner {
    /// Bytes of what is handed on at once, where a batch has this many: of a bulk load three pieces are held, and three
    /// requests.
    fn piece(self, batch: usize) -> usize {
        match self {
            Self::Bulk => (batch / 8).min(PIECE),
            Self::Singly => batch,
        }
    }

    /// Bytes of a request.
    fn room(self, batch: usize) -> usize {
        (3 * (batch - self.piece(batch)) / 4).min(REQUEST)
    }
}

/// Loads each batch by itself. When it ends, so does the reading, because nobody receives.
async fn singly<L: Load>(
    load: &L,
    mut pieces: mpsc::Receiver<Piece>,
    stop: &CancellationToken,
) -> Result<Bulk, Fault> {
    let mut sum = Loaded::default();
    while let Some(piece) = pieces.recv().await {
        let Piece::Rows(batch) = piece else { return Ok(Bulk::Durable(sum)) };
        if stop.is_cancelled() {
            break;
        }
        let loaded = load.load(&batch).await?;
        sum = Loaded { rows: sum.rows + loaded.rows, bytes: sum.bytes + loaded.bytes };
    }
    Ok(Bulk::GivenUp)
}

/// A snapshot that sees every transaction it has to see, or those that were routed and are not visible.
pub(super) async fn seeing(
    name: &TableName,
    leaf: Option<u32>,
    barrier: &AtBarrier,
    earlier: &Earlier,
    stop: &CancellationToken,
    reader: &mut impl ReadRows,
) -> Result<Result<Sight, Vec<u32>>, Fault> {
    let until = Instant::now() + UNTIL_SEEN;
    loop {
        let sight = reader.enter(name, leaf).await?;
        let is_unseen = |xid: &&u32| !sight.visibility.sees(**xid);
        let unseen: Vec<_> = barrier.routed.iter().filter(is_unseen).copied().collect();
        if unseen.is_empty() && earlier.is_seen_by(&sight.visibility) {
            return Ok(Ok(sight));
        }
        reader.leave().await?;
        if Instant::now() >= until || stop.is_cancelled() {
            return Ok(Err(unseen));
        }
        sleep(LOOK_AGAIN).await;
    }
}
