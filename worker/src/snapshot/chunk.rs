//! One chunk, at its barrier: a snapshot that sees enough, then its rows in batches.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{gathering::Gathering, source::ReadRows};
use crate::{
    fault::Fault,
    lsn::Lsn,
    pipeline::{AtBarrier, Load, Loaded},
    postgres::{copy::Sight, visibility::Earlier},
    progress::{CopyStep, Progress},
    schema_history::{Blocks, CopyState},
    table::{Table, TableName},
};

/// The lane does not stand for longer until a transaction is visible.
const UNTIL_SEEN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

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
    Unlike,
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
        self.at(Some(CopyStep::Lock));
        let sight = match self.enter(barrier, reader).await? {
            Ok(sight) => sight,
            Err(unseen) => return Ok(Outcome::NotSeen { unseen }),
        };
        if !self.state.is_of(&sight.table.facts.files) {
            reader.leave().await?;
            return Ok(Outcome::Moved { table: sight.table });
        }
        let Ok(columns) = sight.columns(&barrier.rows) else {
            reader.leave().await?;
            return Ok(Outcome::Unlike);
        };
        self.read_and_load(barrier, sight, columns, reader, load).await
    }

    fn at(&self, step: Option<CopyStep>) {
        self.progress.copy_step(self.name, step);
    }

    /// A snapshot that sees every transaction it has to see, or those that were routed and are not visible.
    async fn enter(
        &self,
        barrier: &AtBarrier,
        reader: &mut impl ReadRows,
    ) -> Result<Result<Sight, Vec<u32>>, Fault> {
        let until = Instant::now() + UNTIL_SEEN;
        loop {
            let sight = reader.enter(self.name, self.blocks.leaf).await?;
            let is_unseen = |xid: &&u32| !sight.visibility.sees(**xid);
            let unseen: Vec<_> = barrier.routed.iter().filter(is_unseen).copied().collect();
            if unseen.is_empty() && self.earlier.is_seen_by(&sight.visibility) {
                return Ok(Ok(sight));
            }
            reader.leave().await?;
            if Instant::now() >= until || self.stop.is_cancelled() {
                return Ok(Err(unseen));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn read_and_load<L: Load>(
        &self,
        barrier: &AtBarrier,
        sight: Sight,
        columns: Vec<String>,
        reader: &mut impl ReadRows,
        load: &L,
    ) -> Result<Outcome, Fault> {
        self.at(None);
        let end = sight.end;
        // One batch waits while one is loaded and one is read.
        let (sender, mut batches) = mpsc::channel(1);
        let gathering = Gathering::new(&barrier.rows, barrier.version, self.batch, sender, self.stop.clone());
        let reading = reader.copy(sight, columns, self.blocks, gathering);
        let loading = async move {
            let mut sum = Loaded::default();
            // A fault, or a stop, drops the receiver, which ends the reading.
            while let Some(batch) = batches.recv().await {
                if self.stop.is_cancelled() {
                    return Ok(None);
                }
                self.at(Some(CopyStep::Load));
                let loaded = load.load(&batch).await?;
                self.at(None);
                sum = Loaded { rows: sum.rows + loaded.rows, bytes: sum.bytes + loaded.bytes };
            }
            Ok::<_, Fault>(Some(sum))
        };
        let (all, loaded) = tokio::join!(reading, loading);
        if !matches!(all, Ok(true)) {
            reader.end(); // in the middle of its rows
        }
        // All rows may have been read, and the last not loaded.
        let loaded = loaded?.filter(|_| !matches!(all, Ok(false)));
        all?;
        Ok(loaded.map_or(Outcome::Stopped, |Loaded { rows, bytes }| Outcome::Copied { rows, bytes, end }))
    }
}
