//! Changes of types that no message of the stream tells: a label of an enum that was renamed, an attribute that a
//! composite gained. The catalogue is looked at now and then; what it means is judged when the next session begins.

use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use super::off_the_runtime;
use crate::{
    config::SourceConfig,
    postgres,
    table::{Column, Difference, Table, TableName},
};

const BETWEEN_LOOKS: Duration = Duration::from_secs(30);

/// Resolves when rows of one of the tables, as they were when the session began, are written otherwise by now.
pub(super) async fn seen(source: &SourceConfig, tables: Vec<Table>) {
    let names: Vec<TableName> = tables.iter().map(|table| table.name.clone()).collect();
    loop {
        sleep(BETWEEN_LOOKS).await;
        let (source, names) = (source.clone(), names.clone());
        let look = off_the_runtime(move || postgres::shapes_of(&source, &names)).await;
        // When it cannot be asked, the stream reports that.
        let Ok(now) = look else { continue };
        let drifted =
            tables.iter().zip(&now).find(|(then, now)| now.as_ref().is_ok_and(|now| has_drifted(then, now)));
        if let Some((table, _)) = drifted {
            info!(table = %table.name, "a type of a column is another than when the session began; beginning again");
            return;
        }
    }
}

/// Zeros and blanks at an end come with a change that the stream does tell.
fn has_drifted(then: &Table, now: &Table) -> bool {
    let changed = |column: &Column| {
        let now = now.columns.iter().find(|now| now.number == column.number)?;
        column.representation.changed_to(&now.representation)
    };
    then.columns.iter().any(|column| changed(column) == Some(Difference::Values))
}
