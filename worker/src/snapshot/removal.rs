//! Makes the target of a table that is copied anew equal to the source: rows that no chunk has loaded.
//!
//! ```text
//! first barrier:  rows with a version beyond it are of another history ─┐
//! last barrier:   rows with a version below the first one              ─┴─► in the source? ─┬─ yes: loaded from there
//!                                                                                           └─ no:  removed
//! ```
//!
//! A version only says which rows the source is asked about; what the source says decides. It is asked at a barrier, in
//! a snapshot that sees everything that was routed before: what it does not have is not in the target at this point, and
//! what comes later is behind the barrier. So no row is removed that the source has, whatever its version is: one that
//! was read again from an earlier position, one whose load StarRocks has committed and does not show yet, one of a
//! server that was set back.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use crds::Reason;
use tokio::sync::mpsc;
use tracing::info;

use super::{
    chunk::seeing,
    gathering::Gathering,
    lacking::key_bytes,
    source::{ReadRows, Source},
    table::{Step, TableCopy, Waits},
};
use crate::{
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::{AtBarrier, Batch, Doubt, Load, Operation, Piece, RecordCopy, Rows},
    schema_history::Removal,
    table::Table,
};

/// Bytes of a batch of rows that the source has.
const BATCH: usize = 4 << 20;
/// After so many attempts rows that stay are a fault.
const MOST_ATTEMPTS: u32 = 20;

/// What became of rows of the target about which the source is asked.
pub(super) enum Asked {
    /// There are none any more.
    None,
    /// Some are settled; there may be more.
    Some,
    Wait(Waits),
    NotSeen(Vec<u32>),
}

impl<L: Load + RecordCopy, S: Source> TableCopy<'_, L, S> {
    /// Before the first chunk: nothing that was routed has a version beyond the barrier, so such rows are of another
    /// history of the server, and later changes could not be told from them.
    pub(super) async fn begin_removal(&mut self) -> Result<Step, Fault> {
        let barrier = match self.caught_up().await {
            Ok(barrier) => barrier,
            Err(step) => return Ok(step),
        };
        let doubt = Doubt { below: Lsn(0), above: barrier.version };
        let asked = self.ask_source(&barrier, doubt).await;
        let step = match asked {
            Ok(Asked::None) => {
                self.state.removal = Some(Removal { from: Some(barrier.version) });
                self.record(true).await.map(|()| Step::Next)
            }
            asked => asked.map(|asked| self.step_after(asked, &barrier)),
        };
        barrier.lift();
        step
    }

    /// After the last chunk. None when the target has no row any more that the source does not have.
    pub(super) async fn remove(&mut self, barrier: &AtBarrier) -> Result<Option<Step>, Fault> {
        let Some(Removal { from }) = self.state.removal else { return Ok(None) };
        let doubt = Doubt { below: from.unwrap_or_default(), above: barrier.version };
        match self.ask_source(barrier, doubt).await? {
            Asked::None => Ok(None),
            asked => Ok(Some(self.step_after(asked, barrier))),
        }
    }

    fn is_repeated(&self) -> bool {
        self.repeated.is_some_and(|(_, times)| times > 0)
    }

    fn step_after(&mut self, asked: Asked, barrier: &AtBarrier) -> Step {
        match asked {
            Asked::Some if self.is_repeated() => Step::Wait(Waits::Publish),
            Asked::None | Asked::Some => Step::Next,
            Asked::Wait(waits) => Step::Wait(waits),
            Asked::NotSeen(unseen) => {
                self.shared.engine.routed.seen(barrier.mark, &unseen);
                Step::Wait(Waits::Transaction)
            }
        }
    }

    async fn ask_source(&mut self, barrier: &AtBarrier, doubt: Doubt) -> Result<Asked, Fault> {
        let doubtful = self.shared.engine.load.doubtful(&barrier.rows, doubt).await?;
        let Some(doubtful) = doubtful else { return Ok(Asked::None) };
        self.check_progress(&doubtful)?;
        let sight =
            seeing(&self.table.name, None, barrier, &self.earlier, &self.shared.stop, &mut self.reader);
        let sight = match sight.await? {
            Ok(sight) => sight,
            Err(unseen) => return Ok(Asked::NotSeen(unseen)),
        };
        if sight.columns(&barrier.rows).is_err() {
            self.reader.leave().await?;
            return Ok(Asked::Wait(self.unlike(sight.end)));
        }
        let (sender, found) = mpsc::channel(1);
        let stop = self.shared.stop.clone();
        let gathering = Gathering::new(&barrier.rows, barrier.version, BATCH, sender, stop);
        let reading = self.reader.published_by_key(sight, doubtful.clone(), gathering);
        let loading = take_back(&barrier.rows, &doubtful, found, &*self.shared.engine.load);
        let (read, lacking) = tokio::join!(reading, loading);
        if read.is_err() {
            self.reader.end(); // in the middle of its transaction
        }
        let (lacking, kept) = (lacking?, read.map(|()| doubtful.row_count())?);
        let Some(lacking) = lacking else { return Ok(Asked::Some) };
        self.settled(&doubtful);
        let removed = lacking.len();
        if let Some(batch) = removal(&barrier.rows, &doubtful, &lacking, barrier.version) {
            self.shared.engine.load.load(&batch).await?;
        }
        info!(table = %self.table.name, removed, loaded = kept - removed, "rows that the copy did not load were compared with the source");
        Ok(Asked::Some)
    }

    /// StarRocks may show rows as they were before a load that it has committed; not for long.
    fn check_progress(&self, doubtful: &Batch) -> Result<(), Fault> {
        let identity = doubtful.identity();
        let is_stuck = |(before, times)| before == identity && times >= MOST_ATTEMPTS;
        if self.repeated.is_some_and(is_stuck) {
            Err(stays(&self.table, doubtful.row_count()))
        } else {
            Ok(())
        }
    }

    /// What could not be asked, because a transaction is not visible or columns are not announced, does not count.
    fn settled(&mut self, doubtful: &Batch) {
        let identity = doubtful.identity();
        let before = self.repeated.filter(|(before, _)| *before == identity);
        self.repeated = Some((identity, before.map_or(0, |(_, times)| times + 1)));
    }
}

/// Loads the rows that the source has, and returns the keys of the others. Without the end of the rows nothing is known
/// of the others.
async fn take_back<L: Load>(
    table: &Arc<Table>,
    doubtful: &Batch,
    mut found: mpsc::Receiver<Piece>,
    load: &L,
) -> Result<Option<HashSet<Vec<u8>>>, Fault> {
    let mut lacking: HashSet<_> = doubtful.rows().map(|row| key_bytes(table, row.values)).collect();
    // A fault drops the receiver, which ends the reading.
    while let Some(piece) = found.recv().await {
        let Piece::Rows(batch) = piece else { return Ok(Some(lacking)) };
        for row in batch.rows() {
            if !lacking.remove(&key_bytes(table, row.values)) {
                return Err(spelled_otherwise(table));
            }
        }
        load.load(&batch).await?;
    }
    Ok(None)
}

/// The deletes of the rows that the source does not have.
fn removal(table: &Arc<Table>, doubtful: &Batch, lacking: &HashSet<Vec<u8>>, version: Lsn) -> Option<Batch> {
    let mut rows = Rows::new(Arc::clone(table), doubtful.columns().clone());
    let is_lacking = |values| lacking.contains(&key_bytes(table, values));
    let gone = doubtful.rows().filter(|row| is_lacking(row.values));
    gone.for_each(|row| rows.push(Operation::Delete, version, row.values));
    rows.close(SystemTime::now())
}

/// A row that the source has must never count as missing because its key is spelled in another way.
fn spelled_otherwise(table: &Table) -> Fault {
    let message = format!(
        "the source has a row of {} whose key is spelled differently in target table {}",
        table.name, table.target
    );
    let fix = "report it with the types of the key's columns; no row was removed, and `dbmazz verify` lists the difference";
    Fault::retry(Part::Table(table.name.clone()), Reason::InternalDefect, message, fix)
}

fn stays(table: &Table, rows: usize) -> Fault {
    let message = format!(
        "{rows} rows of target table {} stay as they are although they were loaded anew or removed",
        table.target
    );
    let fix = "see whether StarRocks is slow to publish what is loaded (SHOW PROC '/transactions'); the rows are compared again by \
               themselves";
    Fault::retry(Part::Table(table.name.clone()), Reason::SinkBusy, message, fix)
}
