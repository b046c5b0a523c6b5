//! A door for the fuzzer: what an existing table may show of itself.

use super::{
    difference::{Existing, difference, primary_key},
    statement::add_columns,
};
use crate::{config::Values, fault::Fault, starrocks::sql::Rows, table::Table};

/// The statement that completes a table with these columns.
pub(in crate::starrocks) fn completed(
    table: &Table,
    create: &str,
    columns: Rows,
) -> Result<Option<String>, Fault> {
    primary_key(table, create)?;
    let existing: Vec<_> = columns.into_iter().filter_map(Existing::read).collect();
    Ok(add_columns(table, &difference(table, Values::default(), &existing)?))
}
