//! Runs the tasks that leave the lanes, and reports how they ended, and completed loads to [`Progress`].

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Instant, SystemTime},
};

use tokio::task::{AbortHandle, Id, JoinSet};
use tracing::debug;

use super::{
    Load, Loaded,
    batch::Batch,
    lane::{Barrier, LoadTask, Work},
    ledger::Ticket,
};
use crate::{
    fault::Fault,
    progress::{LoadDone, Progress},
    table::{Table, TableId, TableName},
};

#[derive(Debug)]
pub(super) struct Completed {
    pub(super) table: TableId,
    pub(super) ticket: Ticket,
    pub(super) result: Result<(), Fault>,
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum Ended {
    Completed(Completed),
    /// The task panicked: the outcome of the load is unknown.
    Broken(TableId),
    /// The task was aborted on request; the outcome of the load is unknown as well.
    GivenUp(TableId),
}

/// All tasks in flight, at most one per table.
#[derive(Debug, Default)]
pub(super) struct LoadTasks {
    tasks: JoinSet<Completed>,
    tables: HashMap<TableId, AbortHandle>,
}

impl LoadTasks {
    pub(super) fn begin(&mut self, table: TableId, task: impl Future<Output = Completed> + Send + 'static) {
        let task = self.tasks.spawn(task);
        self.tables.insert(table, task);
    }

    /// The next task that ends; `None` when none is in flight. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        let (task, ended) = match self.tasks.join_next_with_id().await? {
            Ok((task, completed)) => (task, Ended::Completed(completed)),
            Err(cause) => {
                let table = self.table_of(cause.id());
                let ended = if cause.is_cancelled() { Ended::GivenUp } else { Ended::Broken };
                (cause.id(), ended(table?))
            }
        };
        self.tables.retain(|_, known| known.id() != task);
        Some(ended)
    }

    fn table_of(&self, task: Id) -> Option<TableId> {
        self.tables.iter().find(|(_, known)| known.id() == task).map(|(table, _)| *table)
    }

    pub(super) fn give_up(&self, table: TableId) {
        self.tables.get(&table).into_iter().for_each(AbortHandle::abort);
    }

    /// Aborts all tasks, and waits until none runs any more.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

pub(super) async fn run_task<L: Load>(
    table: Arc<Table>,
    task: LoadTask,
    load: Arc<L>,
    progress: Arc<Progress>,
) -> Completed {
    let LoadTask { work, ticket } = task;
    let result = match work {
        Work::Batches { batches, changes, oldest_commit } => {
            let timer = || LoadTimer::now(oldest_commit);
            load_all(&table, batches, changes, timer, &*load, &progress).await
        }
        Work::Barrier(Barrier::Truncate) => load.truncate(&table).await,
        Work::Barrier(Barrier::Reshape(aim)) => load.reshape(&aim).await,
        Work::Stand(placed) => placed.stand().await,
    };
    Completed { table: table.id, ticket, result }
}

/// Loads the batches of one accumulation, one after the other. All changes are reported with the first batch.
async fn load_all<L: Load>(
    table: &Table,
    batches: Vec<Batch>,
    mut changes: u64,
    timer: impl Fn() -> LoadTimer,
    load: &L,
    progress: &Progress,
) -> Result<(), Fault> {
    for batch in batches {
        let timer = timer();
        let loaded = load.load(&batch).await?;
        timer.completed(&table.name, std::mem::take(&mut changes), loaded, progress);
    }
    Ok(())
}

/// The start of a load, and the time of the oldest commit in it.
#[derive(Debug)]
pub(super) struct LoadTimer {
    began: Instant,
    oldest_commit: SystemTime,
}

impl LoadTimer {
    pub(super) fn now(oldest_commit: SystemTime) -> Self {
        Self { began: Instant::now(), oldest_commit }
    }

    /// The load is durable; reports its part for `table`.
    pub(super) fn completed(&self, table: &TableName, changes: u64, loaded: Loaded, progress: &Progress) {
        let elapsed = self.began.elapsed();
        let lag = SystemTime::now().duration_since(self.oldest_commit).unwrap_or_default();
        let Loaded { rows, bytes } = loaded;
        debug!(%table, rows, bytes, ?elapsed, "loaded");
        let (seconds, lag_seconds) = (elapsed.as_secs_f64(), lag.as_secs_f64());
        progress.load_done(table, LoadDone { changes, rows, bytes, seconds, lag_seconds });
    }
}
