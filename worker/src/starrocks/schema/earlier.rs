//! Whether the rows that a target has are still those of the source, as far as its columns tell.
//!
//! Pure. PostgreSQL writes rows anew when a type or its modifier changes, shows them otherwise when a label of an enum
//! or an attribute of a composite does, and sends none of them.

use crds::Reason;

use crate::{
    config::Values,
    fault::{Fault, Part, take_anew},
    schema_history::{SchemaHistory, TargetColumn},
    starrocks::target::{TargetType, target_type},
    table::{Column, Difference, Look, Representation, Table},
};

/// Fails when rows that were loaded before are no longer as the source has them.
pub(super) fn check(table: &Table, values: Values, before: &SchemaHistory) -> Result<(), Fault> {
    let Some(look) = &before.look else { return Ok(()) };
    if let Some(TargetColumn { name, .. }) = before.target.iter().find(|held| is_no_longer_sent(table, held))
    {
        return Err(no_longer_sent(table, name));
    }
    for (place, column) in table.columns.iter().enumerate() {
        let Some(written) = look.written.get(&column.number) else { continue };
        if is_otherwise(column, table.key.contains(&place), written, values) {
            return Err(rewritten(table, column, written));
        }
    }
    Ok(())
}

/// The table with what earlier rows hold in columns that its target does not have yet.
pub(super) fn with_fills(table: &Table, before: Option<&SchemaHistory>) -> Table {
    let mut table = table.clone();
    let Some(look) = before.and_then(|before| before.look.as_ref()) else { return table };
    let fills: Vec<_> = table.columns.iter().map(|column| look.fill_of(column, &table)).collect();
    table.columns.iter_mut().zip(fills).for_each(|(column, fill)| column.fill = fill);
    table
}

/// What is to be said of columns that are not sent, when that is new.
pub(super) fn newly_left_out(table: &Table, before: Option<&Look>) -> Option<String> {
    let left_out = &table.facts.left_out;
    let is_known = before.is_some_and(|before| before.left_out == *left_out);
    let names: Vec<_> = left_out.values().map(String::as_str).collect();
    (!is_known && !names.is_empty()).then(|| names.join(", "))
}

fn is_no_longer_sent(table: &Table, TargetColumn { number, .. }: &TargetColumn) -> bool {
    table.facts.left_out.contains_key(number)
}

fn is_otherwise(column: &Column, key: bool, written: &Representation, values: Values) -> bool {
    match written.changed_to(&column.representation) {
        None => false,
        Some(Difference::Values) => true,
        // A key has one spelling of those that are equal, and a number of the target has none.
        Some(Difference::Spelling) => {
            let target = target_type(column.kind, key, values);
            !key && !matches!(target, Some(TargetType::Decimal { .. }))
        }
    }
}

fn rewritten(table: &Table, column: &Column, written: &Representation) -> Fault {
    let (name, source, now) = (&column.name, &table.name, &column.representation);
    let what = if written.parts != now.parts && written.oid == now.oid {
        format!("the type {} of column {name} has other labels or attributes than it had", now.declared)
    } else if written.expression != now.expression {
        format!("column {name} is computed by another expression than it was")
    } else {
        format!("column {name} was {} and is {}", written.declared, now.declared)
    };
    halt(table, format!("{what}: PostgreSQL has changed earlier rows of {source} and sends none of them"))
}

fn no_longer_sent(table: &Table, name: &str) -> Fault {
    let source = &table.name;
    halt(table, format!("column {name} of {source} is no longer sent: its values in the target grow old"))
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

    /// A table with a number that has so many digits and places, and a key.
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
