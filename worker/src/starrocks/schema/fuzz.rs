//! Entry point for the fuzzer: the catalogue's output for an existing table.

use super::{
    difference::{held_now, next_step, still_held},
    key::primary_key,
    model::Existing,
    statement::alter_table,
};
use crate::{config::Values, fault::Fault, schema_history::TargetColumn, starrocks::sql::Rows, table::Table};

/// The next statement that completes a table with these columns and this history.
pub(in crate::starrocks) fn completed(
    table: &Table,
    create: &str,
    columns: Rows,
    held: &[TargetColumn],
) -> Result<Option<String>, Fault> {
    primary_key(table, create)?;
    let existing: Vec<_> = columns.into_iter().filter_map(Existing::read).collect();
    let held = still_held(table, &existing, held);
    held_now(table, Values::default(), &held)?;
    let step = next_step(table, Values::default(), &existing, &held)?;
    Ok(step.map(|step| alter_table(table, &step)))
}
