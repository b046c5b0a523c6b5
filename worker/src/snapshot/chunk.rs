//! One chunk, at its barrier: a snapshot that sees enough, then its rows in batches.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::reader::Reader;
use crate::{
    fault::Fault,
    lsn::Lsn,
    pipeline::{AtBarrier, Batch, ColumnSet, Load, Loaded, Operation, Rows},
    postgres::{
        copy::{CopySession, Sight},
        visibility::Earlier,
    },
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
    pub(super) stop: &'a CancellationToken,
}

impl Chunk<'_> {
    /// Copies the chunk while the lane stands at `barrier`. When it returns, no load is in flight.
    pub(super) async fn copy<L: Load>(
        &self,
        barrier: &AtBarrier,
        reader: &mut Reader,
        load: &L,
    ) -> Result<Outcome, Fault> {
        let sight = match self.enter(barrier, reader).await? {
            Ok(sight) => sight,
            Err(unseen) => return Ok(Outcome::NotSeen { unseen }),
        };
        if !self.state.is_of(&sight.table.facts.files) {
            reader.with(CopySession::leave).await?;
            return Ok(Outcome::Moved { table: sight.table });
        }
        let Ok(columns) = sight.columns(&barrier.rows) else {
            reader.with(CopySession::leave).await?;
            return Ok(Outcome::Unlike);
        };
        self.read_and_load(barrier, sight, columns, reader, load).await
    }

    /// A snapshot that sees every transaction it has to see, or those that were routed and are not visible.
    async fn enter(
        &self,
        barrier: &AtBarrier,
        reader: &mut Reader,
    ) -> Result<Result<Sight, Vec<u32>>, Fault> {
        let until = Instant::now() + UNTIL_SEEN;
        loop {
            let (name, leaf) = (self.name.clone(), self.blocks.leaf);
            let sight = reader.with(move |session| session.enter(&name, Some(leaf))).await?;
            let is_unseen = |xid: &&u32| !sight.visibility.sees(**xid);
            let unseen: Vec<_> = barrier.routed.iter().filter(is_unseen).copied().collect();
            if unseen.is_empty() && self.earlier.is_seen_by(&sight.visibility) {
                return Ok(Ok(sight));
            }
            reader.with(CopySession::leave).await?;
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
        reader: &mut Reader,
        load: &L,
    ) -> Result<Outcome, Fault> {
        let end = sight.end;
        // One batch waits while one is loaded and one is read.
        let (sender, mut batches) = mpsc::channel(1);
        let (blocks, stop) = (self.blocks, self.stop.clone());
        let filling = Gathering::new(&barrier.rows, barrier.version, self.batch, sender);
        let reading = reader.with(move |session| {
            let all = filling.read(session, &sight, &columns, blocks, &stop)?;
            // After a part of its rows the session is of no use.
            if all { session.leave().map(|()| true) } else { Ok(false) }
        });
        let loading = async move {
            let mut sum = Loaded::default();
            // A fault, or a stop, drops the receiver, which ends the reading.
            while let Some(batch) = batches.recv().await {
                if self.stop.is_cancelled() {
                    return Ok(None);
                }
                let loaded = load.load(&batch).await?;
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

/// Puts rows together to batches.
struct Gathering {
    table: Arc<Table>,
    version: Lsn,
    most: usize,
    rows: Rows,
    sender: mpsc::Sender<Batch>,
}

impl Gathering {
    fn new(table: &Arc<Table>, version: Lsn, most: usize, sender: mpsc::Sender<Batch>) -> Self {
        let rows = Rows::new(Arc::clone(table), ColumnSet::All);
        Self { table: Arc::clone(table), version, most, rows, sender }
    }

    /// Reads the chunk on this thread. Returns whether all of it was read and handed on.
    fn read(
        mut self,
        session: &mut CopySession,
        sight: &Sight,
        columns: &[String],
        blocks: Blocks,
        stop: &CancellationToken,
    ) -> Result<bool, Fault> {
        let all = session.copy(sight, columns, blocks, |row| {
            self.rows.push(Operation::Insert, self.version, row);
            let is_full = self.rows.held_bytes() >= self.most;
            if stop.is_cancelled() || (is_full && !self.hand_on()) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(all && self.hand_on())
    }

    /// Returns whether the batch was taken.
    fn hand_on(&mut self) -> bool {
        let rows = std::mem::replace(&mut self.rows, Rows::new(Arc::clone(&self.table), ColumnSet::All));
        rows.close(SystemTime::now()).is_none_or(|batch| self.sender.blocking_send(batch).is_ok())
    }
}
