//! The columns that a target needs for a source table.

use crds::Reason;

use super::model::Needed;
use crate::{
    config::Values,
    fault::{Fault, Part},
    starrocks::{
        AUDIT_COLUMNS,
        target::{LONGEST_KEY, target_type},
    },
    table::{Column, Table},
};

/// All columns of the target: the key first, in key order, then the others, then the audit columns.
pub(super) fn needed(table: &Table, values: Values) -> Result<Vec<Needed<'_>>, Fault> {
    let keys = table.key.iter().filter_map(|place| table.columns.get(*place)).map(|column| (column, true));
    let others = table.columns.iter().enumerate().filter(|(place, _)| !table.key.contains(place));
    let all = keys.chain(others.map(|(_, column)| (column, false)));
    let mut needed =
        all.map(|(column, key)| need(table, column, key, values)).collect::<Result<Vec<_>, _>>()?;
    check_key_width(table, &needed)?;
    needed.extend(AUDIT_COLUMNS.map(|(name, target)| Needed { number: None, name, target, key: false }));
    Ok(needed)
}

fn need<'a>(table: &Table, column: &'a Column, key: bool, values: Values) -> Result<Needed<'a>, Fault> {
    let target = target_type(column.kind, key, values).ok_or_else(|| {
        let (name, source_type) = (&column.name, &column.source_type);
        let message = format!(
            "key column {name} of table {} has type {source_type}, which StarRocks cannot hold as a key",
            table.name
        );
        unsupported(table, message)
    })?;
    Ok(Needed { number: Some(column.number), name: &column.name, target, key })
}

/// Checks the fixed-width key columns only; texts are measured in each row.
fn check_key_width(table: &Table, needed: &[Needed<'_>]) -> Result<(), Fault> {
    let widths = needed.iter().filter(|column| column.key).filter_map(|column| column.target.key_width());
    if widths.sum::<u32>() <= LONGEST_KEY {
        return Ok(());
    }
    Err(unsupported(
        table,
        format!("the primary key of table {} takes more than {LONGEST_KEY} bytes in StarRocks", table.name),
    ))
}

fn unsupported(table: &Table, message: String) -> Fault {
    let fix = "give the table another primary key, or take it out of the job";
    Fault::halt(Part::Table(table.name.clone()), Reason::UnsupportedColumnType, message, fix)
}
