//! Detects type changes that the replication stream does not announce: a renamed enum label, a composite type with a
//! new attribute. Polls the catalogue every 30 s; the start of the next session decides what a change means.

use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use super::off_the_runtime;
use crate::{
    config::SourceConfig,
    postgres,
    table::{Column, Difference, Table, TableName},
};

const POLL_INTERVAL: Duration = Duration::from_secs(30);

/// Resolves when PostgreSQL prints the values of one of the tables differently than when the session began.
pub(super) async fn detected(source: &SourceConfig, tables: Vec<Table>) {
    let names: Vec<TableName> = tables.iter().map(|table| table.name.clone()).collect();
    loop {
        sleep(POLL_INTERVAL).await;
        let (source, names) = (source.clone(), names.clone());
        let look = off_the_runtime(move || postgres::shapes_of(&source, &names)).await;
        // An unreachable source is reported by the stream.
        let Ok(now) = look else { continue };
        let drifted =
            tables.iter().zip(&now).find(|(then, now)| now.as_ref().is_ok_and(|now| has_drifted(then, now)));
        if let Some((table, _)) = drifted {
            info!(table = %table.name, "column type changed since the session began; starting a new session");
            return;
        }
    }
}

/// Differences in spelling (trailing zeros or blanks) come from changes that the stream announces.
fn has_drifted(then: &Table, now: &Table) -> bool {
    let changed = |column: &Column| {
        let now = now.columns.iter().find(|now| now.number == column.number)?;
        column.representation.changed_to(&now.representation)
    };
    then.columns.iter().any(|column| changed(column) == Some(Difference::Values))
}
