//! What people see while tables are copied: the sizes from the start, and the log once a minute.

use std::{convert::Infallible, time::Duration};

use tokio::time::sleep;
use tracing::{debug, info};

use super::{
    engine::Engine,
    source::{ReadRows, Source},
};
use crate::progress::{CopyView, Progress};

/// Time between two log lines about a table.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Does the copies' work, and tells of them meanwhile.
pub(super) async fn beside<T, L, S: Source>(engine: &Engine<L, S>, copies: impl Future<Output = T>) -> T {
    let telling = async {
        measure(engine).await;
        log(&engine.progress).await
    };
    tokio::select! {
        done = copies => done,
        never = telling => match never {},
    }
}

/// Without the sizes, the figures grow when a table's turn comes.
async fn measure<L, S: Source>(engine: &Engine<L, S>) {
    let tables = engine.progress.view().selected;
    match engine.source.session().blocks_of(tables).await {
        Ok(blocks) => engine.progress.copies_measured(blocks),
        Err(error) => debug!(%error, "the sizes of the tables are not known"),
    }
}

async fn log(progress: &Progress) -> Infallible {
    loop {
        sleep(LOG_EVERY).await;
        progress.copies_view().copies.iter().for_each(log_one);
    }
}

fn log_one(copy: &CopyView) {
    let CopyView { table, figures, rows_per_second, seconds_left, waits } = copy;
    let percent = figures.percent();
    info!(%table, percent, rows = figures.rows, bytes = figures.bytes, rows_per_second = rows_per_second.round(),
        seconds_left, waits = waits.as_ref(), "copying existing rows");
}
