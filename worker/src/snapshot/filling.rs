//! Adds values that the stream did not send, and that the target does not have either.
//!
//! The stream does not send a large value that an update left unchanged. A row under a new key has none in the target: its
//! values are read from the source by the new key, once the change of key is visible there (before that another row may
//! have this key). While a table is copied, the row may have moved
//! from a block that is not copied yet to one that was: then no chunk has the value either. So it is read from the
//! source, by the row's key. A value that is newer than the change is harmless, because its own change follows; a row
//! that is gone needs none, because its delete follows. It is never older than what an earlier transaction wrote: a
//! transaction holds the lock on a row until other sessions see its commit, so the row as it was before the transaction is
//! visible when the change is in the WAL. Where earlier changes of the same transaction were loaded before, the
//! transaction itself has to be visible.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crds::Reason;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    gathering::Gathering,
    lacking::{Lacking, is_moved, lacks},
    source::{ReadRows, Source},
};
use crate::{
    change::Aim,
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::{Batch, Bulk, ColumnSet, Doubt, Load, Loaded, Piece, RecordCopy},
    progress::{Owner, Progress},
    schema_history::CopyState,
    table::{Table, TableId, TableName},
};

/// Pause after a failed attempt to read values.
const PAUSE: Duration = Duration::from_secs(1);

/// Pause between two looks whether a transaction is visible.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Looks until the wait is reported.
const LOOKS: u32 = 500;

/// Bytes of a batch of whole rows: they may be many times larger than the changes.
const BATCH: usize = 4 << 20;

/// The tables that are being copied.
#[derive(Debug, Default)]
pub struct Copies(Mutex<HashSet<TableId>>);

impl Copies {
    pub fn of(tables: impl IntoIterator<Item = TableId>) -> Self {
        Self(Mutex::new(tables.into_iter().collect()))
    }

    pub(super) fn complete(&self, table: TableId) {
        self.tables().remove(&table);
    }

    fn is_any(&self) -> bool {
        !self.tables().is_empty()
    }

    fn has(&self, table: TableId) -> bool {
        self.tables().contains(&table)
    }

    // A set is valid whatever a thread that panicked was doing.
    fn tables(&self) -> MutexGuard<'_, HashSet<TableId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loads like `L`, with the values that rows under new keys, and rows of tables that are being copied, lack.
#[derive(Debug)]
pub struct Filling<L, S: Source> {
    load: L,
    copies: Arc<Copies>,
    source: S,
    /// Readers that are not in use: loads of several tables may need one each, and a load may take long.
    idle: Mutex<Vec<S::Session>>,
    progress: Arc<Progress>,
}

impl<L: Load, S: Source> Filling<L, S> {
    pub fn new(load: L, copies: Arc<Copies>, source: S, progress: Arc<Progress>) -> Self {
        Self { load, copies, source, idle: Mutex::default(), progress }
    }

    /// Loads the batch with whole rows where the source has them. Retries without limit, like any load.
    async fn load_whole(&self, batch: &Batch) -> Result<Loaded, Fault> {
        let part = Part::Table(batch.table().name.clone());
        loop {
            match self.try_load_whole(batch).await {
                Ok(loaded) => {
                    self.progress.clear_of(Owner::Missing, &part);
                    return Ok(loaded);
                }
                Err(Failure::Load(fault)) => return Err(fault),
                Err(Failure::Source(fault)) => {
                    if self.progress.raise_of(Owner::Missing, Fault { part: part.clone(), ..fault.clone() }) {
                        warn!(table = %batch.table().name, error = %fault, "large values could not be read from the source");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn try_load_whole(&self, batch: &Batch) -> Result<Loaded, Failure> {
        let idle = self.idle().pop();
        let mut reader = idle.unwrap_or_else(|| self.source.session());
        let loaded = self.load_by(&mut reader, batch).await;
        if self.copies.is_any() {
            self.idle().push(reader); // otherwise nobody may need it for days
        }
        loaded
    }

    fn idle(&self) -> MutexGuard<'_, Vec<S::Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load_by(&self, reader: &mut S::Session, batch: &Batch) -> Result<Loaded, Failure> {
        self.until_seen(reader, batch).await.map_err(Failure::Source)?;
        let (sender, found) = mpsc::channel(1);
        let (mut lacking, mut loaded) = (Lacking::of(batch), Loaded::default());
        let gathering =
            Gathering::new(batch.table(), Lsn::default(), BATCH, sender, CancellationToken::new());
        let reading = reader.rows_by_key(batch.clone(), gathering);
        let loading = async {
            let mut found = found; // a fault drops it, which ends the reading
            while let Some(Piece::Rows(found)) = found.recv().await {
                self.load_more(lacking.filled_by(&found), &mut loaded).await?;
            }
            Ok(())
        };
        let (read, whole) = tokio::join!(reading, loading);
        whole.map_err(Failure::Load)?;
        read.map_err(Failure::Source)?;
        self.load_more(lacking.rest(), &mut loaded).await.map_err(Failure::Load)?;
        Ok(loaded)
    }

    async fn load_more(&self, batch: Option<Batch>, loaded: &mut Loaded) -> Result<(), Fault> {
        let Some(batch) = batch else { return Ok(()) };
        let more = self.load.load(&batch).await?;
        *loaded = Loaded { rows: loaded.rows + more.rows, bytes: loaded.bytes + more.bytes };
        Ok(())
    }

    /// Waits until other sessions see the transactions without which the source may show an older row, or another one.
    async fn until_seen(&self, reader: &mut S::Session, batch: &Batch) -> Result<(), Fault> {
        let movers = batch.movers().iter().filter(|_| is_moved(batch)).copied();
        let needed: Vec<u32> = movers.chain(batch.continued()).collect();
        if needed.is_empty() {
            return Ok(());
        }
        for look in 1_u32.. {
            let visibility = reader.visibility().await?;
            if needed.iter().all(|xid| visibility.sees(*xid)) {
                break;
            }
            if look == LOOKS {
                self.progress.raise_of(Owner::Missing, not_seen(&batch.table().name));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

fn not_seen(table: &TableName) -> Fault {
    let message = format!(
        "a transaction that changed rows of {table} is committed, and other sessions do not see it yet, so a large value \
         of a row cannot be read"
    );
    let fix = "let the commit end: it waits for a standby (synchronous_standby_names; SELECT pid, wait_event FROM \
               pg_stat_activity WHERE wait_event = 'SyncRep')";
    Fault::retry(Part::Table(table.clone()), Reason::SourceCommitNotVisible, message, fix)
}

/// Why a batch was not loaded.
enum Failure {
    Load(Fault),
    Source(Fault),
}

impl<L: Load, S: Source> Load for Filling<L, S> {
    async fn load(&self, batch: &Batch) -> Result<Loaded, Fault> {
        let is_completed = match batch.columns() {
            ColumnSet::All => false,
            ColumnSet::Some(_) => self.copies.has(batch.table().id) && batch.rows().any(|row| lacks(&row)),
            ColumnSet::Lacking(_) => true,
        };
        if is_completed { self.load_whole(batch).await } else { self.load.load(batch).await }
    }

    fn takes_bulk(&self, table: &Table) -> bool {
        self.load.takes_bulk(table)
    }

    // Rows of a copy are whole.
    async fn load_bulk(
        &self,
        table: &Arc<Table>,
        room: usize,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<Bulk, Fault> {
        self.load.load_bulk(table, room, pieces).await
    }

    async fn reshape(&self, aim: &Aim) -> Result<(), Fault> {
        self.load.reshape(aim).await
    }

    async fn truncate(&self, table: &Table) -> Result<(), Fault> {
        self.load.truncate(table).await
    }
}

impl<L: Load + RecordCopy, S: Source> RecordCopy for Filling<L, S> {
    async fn record_copy(&self, table: &Table, state: &CopyState) -> Result<(), Fault> {
        self.load.record_copy(table, state).await
    }

    async fn record_whole(&self, table: &Table) -> Result<(), Fault> {
        self.load.record_whole(table).await
    }

    async fn doubtful(&self, table: &Arc<Table>, doubt: Doubt) -> Result<Option<Batch>, Fault> {
        self.load.doubtful(table, doubt).await
    }
}
