//! One step of the sink, and how it runs.

use std::{sync::Arc, time::SystemTime};

use super::{
    super::{LoadTransaction, Part, barrier::Placed, ledger::Ticket, load_task::LoadTimer},
    gathered::Gathered,
};
use crate::{change::Aim, fault::Fault, lsn::Lsn, progress::Progress, table::Table};

/// One step in the queue.
#[derive(Debug)]
pub(super) enum Step {
    /// Everything before `reached` is in the sink after it; `None` when more of the same transaction follows.
    Load {
        gathered: Gathered,
        reached: Option<Lsn>,
    },
    /// The load of its transaction follows.
    Empty(Arc<Table>),
    Reshape(Arc<Aim>),
    /// Another task works on the target of a table meanwhile.
    Stand(Placed),
}

impl Step {
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Load { gathered, .. } => gathered.held_bytes(),
            Self::Empty(_) | Self::Reshape(_) | Self::Stand(_) => 0,
        }
    }

    /// Runs the step to its end. Returns the ticket of what is durable after it.
    pub(super) async fn run<L: LoadTransaction>(
        self,
        load: Arc<L>,
        progress: Arc<Progress>,
    ) -> Result<Option<Ticket>, Fault> {
        match self {
            Self::Load { gathered, reached } => {
                let ticket = gathered.ticket;
                load_gathered(gathered, reached, &*load, &progress).await?;
                Ok(reached.map(|_| ticket))
            }
            Self::Empty(table) => load.truncate(&table).await.map(|()| None),
            Self::Reshape(aim) => load.reshape(&aim).await.map(|()| None),
            Self::Stand(placed) => placed.stand().await.map(|()| None),
        }
    }
}

/// Loads the gathered changes, and reports them to [`Progress`].
async fn load_gathered<L: LoadTransaction>(
    gathered: Gathered,
    reached: Option<Lsn>,
    load: &L,
    progress: &Progress,
) -> Result<(), Fault> {
    let oldest_commit = gathered.oldest_commit;
    let closed = gathered.close(SystemTime::now())?;
    let (batches, changes): (_, Vec<u64>) =
        closed.into_iter().map(|closed| (closed.batch, closed.changes)).unzip();
    let (part, timer) = (Part { batches, reached }, LoadTimer::now(oldest_commit));
    let loaded = load.load(&part).await?;
    for ((batch, changes), loaded) in part.batches.iter().zip(changes).zip(loaded) {
        timer.completed(&batch.table().name, changes, loaded, progress);
    }
    Ok(())
}
