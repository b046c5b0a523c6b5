//! Whether the rows that a target has still match the source, as far as the catalogue shows.
//!
//! Pure. PostgreSQL rewrites rows when a type or its modifier changes, and shows them differently when a label of an enum
//! or an attribute of a composite type changes; it sends none of these rows.

use crds::Reason;

use crate::{
    config::Values,
    fault::{Fault, Part, take_anew},
    schema_history::{SchemaHistory, TargetColumn},
    starrocks::target::{TargetType, target_type},
    table::{Column, Difference, Look, Representation, Table},
};

/// Fails when rows that were loaded before no longer match the source.
pub(super) fn check(table: &Table, values: Values, before: &SchemaHistory) -> Result<(), Fault> {
    let Some(look) = &before.look else { return Ok(()) };
    if let Some(TargetColumn { name, .. }) =
        before.target.iter().find(|held| is_no_longer_published(table, held))
    {
        return Err(no_longer_published(table, name));
    }
    for (place, column) in table.columns.iter().enumerate() {
        let Some(written) = look.written.get(&column.number) else { continue };
        if is_rewritten(column, table.key.contains(&place), written, values) {
            return Err(rewritten(table, column, written));
        }
    }
    Ok(())
}

/// The table with the values that earlier rows have in columns that the target lacks.
pub(super) fn with_fills(table: &Table, before: Option<&SchemaHistory>) -> Table {
    let mut table = table.clone();
    let Some(look) = before.and_then(|before| before.look.as_ref()) else { return table };
    let fills: Vec<_> = table.columns.iter().map(|column| look.fill_of(column, &table)).collect();
    table.columns.iter_mut().zip(fills).for_each(|(column, fill)| column.fill = fill);
    table
}

/// Names of the columns that are not published, if they have changed since the last look.
pub(super) fn newly_left_out(table: &Table, before: Option<&Look>) -> Option<String> {
    let left_out = &table.facts.left_out;
    let is_known = before.is_some_and(|before| before.left_out == *left_out);
    let names: Vec<_> = left_out.values().map(String::as_str).collect();
    (!is_known && !names.is_empty()).then(|| names.join(", "))
}

fn is_no_longer_published(table: &Table, TargetColumn { number, .. }: &TargetColumn) -> bool {
    table.facts.left_out.contains_key(number)
}

fn is_rewritten(column: &Column, key: bool, written: &Representation, values: Values) -> bool {
    match written.changed_to(&column.representation) {
        None => false,
        Some(Difference::Values) => true,
        // A key is stored in one spelling for all equal values, and a DECIMAL of the target has no spelling.
        Some(Difference::Spelling) => {
            let target = target_type(column.kind, key, values);
            !key && !matches!(target, Some(TargetType::Decimal { .. }))
        }
    }
}

fn rewritten(table: &Table, column: &Column, written: &Representation) -> Fault {
    let (name, source, now) = (&column.name, &table.name, &column.representation);
    let what = if written.parts != now.parts && written.oid == now.oid {
        format!("the labels or attributes of type {} of column {name} have changed", now.declared)
    } else if written.expression != now.expression {
        format!("the expression of generated column {name} has changed")
    } else {
        format!("the type of column {name} has changed from {} to {}", written.declared, now.declared)
    };
    halt(table, format!("{what}: PostgreSQL has changed existing rows of {source} and does not send them"))
}

fn no_longer_published(table: &Table, name: &str) -> Fault {
    let source = &table.name;
    halt(
        table,
        format!("column {name} of {source} is no longer published; its values in the target are stale"),
    )
}

fn halt(table: &Table, message: String) -> Fault {
    Fault::halt(Part::Table(table.name.clone()), Reason::SourceSchemaChanged, message, take_anew(table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Unfit,
        starrocks::double,
        table::{Fill, Kind},
    };

    const NUMERIC: u32 = 1700;

    fn numeric(precision: i32, scale: i32) -> Representation {
        let modifier = (precision << 16 | scale) + 4;
        Representation { oid: NUMERIC, modifier, ..Representation::default() }
    }

    /// A table with a key and a `numeric` column of this precision and scale.
    fn table(precision: u16, scale: i16) -> Table {
        let mut table = double::table(&[("id", Kind::BigInt), ("n", Kind::Decimal { precision, scale })]);
        table.columns[1].representation = numeric(precision.into(), scale.into());
        table
    }

    fn history(table: &Table) -> SchemaHistory {
        SchemaHistory::beginning(table, vec![TargetColumn::new(1, "id", "BIGINT")])
    }

    #[test]
    fn places_may_grow_where_the_target_holds_a_number() {
        let before = history(&table(12, 2));
        let checked = |table: &Table, values| check(table, values, &before).map_err(|fault| fault.reason);
        assert_eq!(checked(&table(14, 4), Values::default()), Ok(()));
        let text = Values { decimals: Unfit::Text, ..Values::default() };
        assert_eq!(checked(&table(14, 4), text), Err(Reason::SourceSchemaChanged));
        assert_eq!(checked(&table(60, 4), Values::default()), Err(Reason::SourceSchemaChanged));
        assert_eq!(checked(&table(14, 1), Values::default()), Err(Reason::SourceSchemaChanged));
        let key = Table { key: vec![1], ..table(14, 4) };
        assert_eq!(checked(&key, text), Ok(()));
    }

    #[test]
    fn a_column_that_is_there_and_no_longer_sent_is_not_taken_for_dropped() {
        let mut now = table(12, 2);
        let before = history(&now);
        now.facts.left_out.insert(1, "id".to_owned());
        assert!(check(&now, Values::default(), &before).unwrap_err().message.contains("column id"));
        now.facts.left_out = [(7, "g".to_owned())].into();
        assert_eq!(check(&now, Values::default(), &before), Ok(()));
        assert_eq!(newly_left_out(&now, before.look.as_ref()).as_deref(), Some("g"));
        assert_eq!(newly_left_out(&now, Some(&Look::at(&now))), None);
    }

    #[test]
    fn a_target_of_which_nothing_is_kept_is_taken_as_it_is() {
        let mut now = table(14, 1);
        now.columns[1].fill = Fill::Unknown;
        let before = SchemaHistory { look: None, ..history(&table(12, 2)) };
        assert_eq!(check(&now, Values::default(), &before), Ok(()));
        assert_eq!(with_fills(&now, Some(&before)), now);
    }
}
