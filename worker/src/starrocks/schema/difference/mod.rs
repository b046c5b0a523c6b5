//! The difference between an existing target and what the source needs: columns to rename, add and widen, or a fault.

use crds::Reason;

use super::{
    fault::incompatible,
    fill::filling,
    model::{Existing, Filling, Needed, Step},
    names,
    needed::needed,
};
use crate::{
    config::Values,
    fault::{Fault, Part, drop_column, send_again, take_anew},
    schema_history::TargetColumn,
    starrocks::{schema::name_check::same_column, target::TargetType},
    table::Table,
};

/// The next step from the existing columns to those that `table` needs; none when nothing is missing. `held` are the
/// columns that the target had from the source according to its history; empty when unknown.
pub(super) fn next_step<'a>(
    table: &'a Table,
    values: Values,
    existing: &'a [Existing],
    held: &'a [TargetColumn],
) -> Result<Option<Step<'a>>, Fault> {
    let needed = needed(table, values)?;
    if let Some((from, to)) = names::next_rename(table, existing, held)? {
        return Ok(Some(Step::Rename { from, to }));
    }
    check_strangers(table, &needed, existing)?;
    let (mut added, mut widened) = (Vec::new(), Vec::new());
    for column in needed {
        match existing.iter().find(|existing| same_column(&existing.name, column.name)) {
            None => {
                let filling = added_with(table, &column, values, held)?;
                added.push((column, filling));
            }
            Some(existing) if is_widened(table, &column, existing, held)? => {
                widened.push((column, existing.default.as_deref()));
            }
            Some(_) => {}
        }
    }
    Ok((!added.is_empty() || !widened.is_empty()).then_some(Step::Change { added, widened }))
}

/// `held` without columns that the source has dropped and that no longer exist in the target.
pub(super) fn still_held(table: &Table, existing: &[Existing], held: &[TargetColumn]) -> Vec<TargetColumn> {
    let is_there = |held: &&TargetColumn| {
        table.columns.iter().any(|column| column.number == held.number)
            || existing.iter().any(|existing| same_column(&existing.name, &held.name))
    };
    held.iter().filter(is_there).cloned().collect()
}

/// The columns of a target from which nothing is missing, including those that the source has dropped.
pub(super) fn held_now(
    table: &Table,
    values: Values,
    before: &[TargetColumn],
) -> Result<Vec<TargetColumn>, Fault> {
    let needed = needed(table, values)?;
    let mut held: Vec<_> = needed
        .iter()
        .filter_map(|column| Some(TargetColumn::new(column.number?, column.name, column.target.to_string())))
        .collect();
    let is_left = |old: &&TargetColumn| {
        !held.iter().any(|new| new.number == old.number || same_column(&new.name, &old.name))
    };
    let left: Vec<_> = before.iter().filter(is_left).cloned().collect();
    held.extend(left);
    Ok(held)
}

fn added_with(
    table: &Table,
    column: &Needed<'_>,
    values: Values,
    held: &[TargetColumn],
) -> Result<Filling, Fault> {
    // Column numbers only grow: a column with a lower one existed before and was not published.
    let was_there = column.number.is_some_and(|number| held.iter().any(|held| held.number > number));
    let filling = filling(table, column, values).filter(|_| !was_there);
    filling.ok_or_else(|| unfilled(table, column))
}

fn unfilled(table: &Table, column: &Needed<'_>) -> Fault {
    let (source, name, target) = (&table.name, column.name, &table.target);
    Fault::halt(
        Part::Table(source.clone()),
        Reason::SourceSchemaChanged,
        format!("column {name} of {source} is newly published; its values in existing rows are unknown"),
        format!(
            "run ALTER TABLE `{target}` ADD COLUMN {} in StarRocks; then {}",
            column.definition(),
            send_again(table)
        ),
    )
}

/// Whether the column has to be widened; a fault when its type is unsuitable and cannot be widened.
fn is_widened(
    table: &Table,
    needed: &Needed<'_>,
    existing: &Existing,
    held: &[TargetColumn],
) -> Result<bool, Fault> {
    let found = TargetType::read(&existing.type_name);
    // A narrower type that a person chose is kept; one that the worker created for a narrower source is widened.
    let was_other =
        held.iter().any(|held| Some(held.number) == needed.number && held.made != needed.target.to_string());
    if was_other && !needed.key && found.is_some_and(|found| found.widens_to(needed.target)) {
        return Ok(true);
    }
    if found.is_some_and(|found| found.holds(needed.target)) {
        return Ok(false);
    }
    let (name, found, needed) = (needed.name, &existing.type_name, needed.target);
    let message = format!("column {name} of target table {} is {found}; {needed} is needed", table.target);
    Err(incompatible(
        table,
        message,
        &format!("change the column's type in StarRocks, or {}", take_anew(table)),
    ))
}

/// A target column that the source does not fill must be nullable or have a default.
fn check_strangers(table: &Table, needed: &[Needed<'_>], existing: &[Existing]) -> Result<(), Fault> {
    let unfilled = |column: &&Existing| !needed.iter().any(|needed| same_column(needed.name, &column.name));
    let demanding = |column: &&Existing| !column.nullable && !column.fills_itself;
    match existing.iter().find(|column| unfilled(column) && demanding(column)) {
        None => Ok(()),
        Some(column) => {
            let message = format!(
                "column {} of target table {} is NOT NULL without a default, and the source has no such column",
                column.name, table.target
            );
            Err(incompatible(table, message, &strange(table, column)))
        }
    }
}

/// StarRocks cannot change the default of an existing column or drop a key column, so neither is a remedy.
fn strange(table: &Table, Existing { name, type_name, .. }: &Existing) -> String {
    let target = &table.target;
    format!(
        "run ALTER TABLE `{target}` MODIFY COLUMN `{name}` {type_name} NULL in StarRocks, or {} there; if it is a column of \
         the target's key, {}",
        drop_column(target, name),
        take_anew(table)
    )
}

#[cfg(test)]
mod tests;
