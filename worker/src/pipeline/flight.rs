//! Brings what leaves a lane to its end.

use std::sync::Arc;

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
