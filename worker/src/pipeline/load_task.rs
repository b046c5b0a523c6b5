//! Brings what leaves a lane to its end.

use std::{collections::HashMap, sync::Arc};

use tokio::task::{AbortHandle, Id, JoinSet};

use super::{
    Load,
    batch::Batch,
    departure::Departure,
    lane::{Barrier, Cargo, Flight},
    ledger::Ticket,
};
use crate::{
    fault::Fault,
    progress::Progress,
    table::{Table, TableId},
};

#[derive(Debug)]
pub(super) struct Landed {
    pub(super) table: TableId,
    pub(super) ticket: Ticket,
    pub(super) result: Result<(), Fault>,
}

/// How a flight has ended.
#[derive(Debug)]
pub(super) enum Ended {
    Landed(Landed),
    /// Its task panicked: what became of the load is not known.
    Broken(TableId),
    /// Given up on request, with the same uncertainty.
    GivenUp(TableId),
}

/// Everything that is under way, at most one flight of a table.
#[derive(Debug, Default)]
pub(super) struct Flights {
    tasks: JoinSet<Landed>,
    tables: HashMap<TableId, AbortHandle>,
}

impl Flights {
    pub(super) fn begin(&mut self, table: TableId, flight: impl Future<Output = Landed> + Send + 'static) {
        let task = self.tasks.spawn(flight);
        self.tables.insert(table, task);
    }

    /// The next that ends; none when nothing is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        let (task, ended) = match self.tasks.join_next_with_id().await? {
            Ok((task, landed)) => (task, Ended::Landed(landed)),
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

    /// Gives up everything, and waits until nothing of it runs any more.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

pub(super) async fn fly<L: Load>(
    table: Arc<Table>,
    flight: Flight,
    load: Arc<L>,
    progress: Arc<Progress>,
) -> Landed {
    let Flight { cargo, ticket } = flight;
    let result = match cargo {
        Cargo::Batches { batches, changes, oldest_commit } => {
            let departure = || Departure::now(oldest_commit);
            load_all(&table, batches, changes, departure, &*load, &progress).await
        }
        Cargo::Barrier(Barrier::Truncate) => load.truncate(&table).await,
        Cargo::Barrier(Barrier::Reshape(aim)) => load.reshape(&aim).await,
    };
    Landed { table: table.id, ticket, result }
}

/// Loads the batches of one gathering, one after the other. The first settles all of its changes.
async fn load_all<L: Load>(
    table: &Table,
    batches: Vec<Batch>,
    mut changes: u64,
    departure: impl Fn() -> Departure,
    load: &L,
    progress: &Progress,
) -> Result<(), Fault> {
    for batch in batches {
        let departure = departure();
        let loaded = load.load(&batch).await?;
        departure.arrived(&table.name, std::mem::take(&mut changes), loaded, progress);
    }
    Ok(())
}
