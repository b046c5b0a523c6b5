//! Copies the tables of a job, a few at a time.

use std::sync::Arc;

use futures::{StreamExt, stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    engine::{Engine, Shared},
    pace::Pace,
    shown,
    source::{Beginning, ReadRows, Source},
    table::TableCopy,
};
use crate::{
    fault::{Fault, Part},
    pipeline::{Load, RecordCopy},
    progress::Owner,
    schema_history::CopyState,
    table::Table,
};

/// Pause after a failed attempt to begin the copy of a table.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(2);

/// A table whose target lacks rows, and how far its copy has come.
#[derive(Debug)]
pub struct Copied {
    pub table: Table,
    pub state: Option<CopyState>,
    /// The target may have rows of an earlier job, which the source may not have any more.
    pub has_earlier_rows: bool,
}

/// Copies the tables until each is complete or halted, or until `stop`, which ends the copies after the loads that are in
/// flight. Returns the tables that are not complete.
pub async fn run<L: Load + RecordCopy, S: Source>(
    engine: Arc<Engine<L, S>>,
    tables: Vec<Copied>,
    stop: CancellationToken,
) -> Vec<Copied> {
    let shared = Shared { engine, stop };
    let names: Vec<_> = tables.iter().map(|copied| copied.table.name.clone()).collect();
    shared.engine.progress.copies_begin(&names);
    let parallelism = shared.engine.config.parallelism;
    let copied = stream::iter(tables).map(|copied| begin(&shared, copied)).buffer_unordered(parallelism);
    shown::beside(&shared.engine, copied.filter_map(std::future::ready).collect()).await
}

async fn begin<L: Load + RecordCopy, S: Source>(
    shared: &Shared<L, S>,
    Copied { table, state, has_earlier_rows }: Copied,
) -> Option<Copied> {
    while !shared.stop.is_cancelled() {
        match prepared(shared, &table, state.clone()).await {
            Ok(copy) => {
                shared.engine.progress.clear_of(Owner::Copy, &Part::Table(table.name.clone()));
                let (is_complete, state) = copy.run().await;
                if is_complete && has_earlier_rows {
                    warn!(table = %table.name, target = %table.target, "the target was filled by an earlier job: rows of it \
                        that the source does not have any more are still there; `dbmazz verify` lists them");
                }
                return (!is_complete).then_some(Copied { table, state: Some(state), has_earlier_rows });
            }
            Err(fault) => shared.report(&table.name, fault),
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = shared.stop.cancelled() => {}
        }
    }
    Some(Copied { table, state, has_earlier_rows })
}

/// Asks which transactions may have written to the table before: their changes may never be sent.
async fn prepared<'a, L: Load + RecordCopy, S: Source>(
    shared: &'a Shared<L, S>,
    table: &Table,
    state: Option<CopyState>,
) -> Result<TableCopy<'a, L, S>, Fault> {
    let mut reader = shared.engine.source.session();
    let Beginning { earlier, end: began_at } = reader.begin(table).await?;
    let begins = state.is_none();
    let mut copy = TableCopy {
        table: table.clone(),
        state: state.unwrap_or_default(),
        earlier,
        began_at,
        pace: Pace::new(shared.engine.config.chunk_rows),
        reader,
        shared,
        recorded: None,
        repeated: None,
        unlike: None,
        rewrites: 0,
    };
    copy.follow(table.clone()).await?;
    let (blocks, done) = copy.state.blocks();
    info!(table = %table.name, blocks, done, "{} the copy of existing rows", if begins { "beginning" } else { "continuing" });
    Ok(copy)
}
