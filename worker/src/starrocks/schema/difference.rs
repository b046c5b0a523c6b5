//! The difference between an existing target and what the source needs: columns to rename, add and widen, or a fault.

use crds::Reason;

use super::{
    fill::{Filling, filling},
    names,
    statement::{Needed, needed},
};
use crate::{
    config::Values,
    fault::{Fault, Part, drop_column, send_again, take_anew},
    schema_history::TargetColumn,
    starrocks::{schema::name_check::same_column, target::TargetType},
    table::Table,
};

/// A column of the target as DESC shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Existing {
    pub(super) name: String,
    /// As printed, because this version knows only some types.
    type_name: String,
    nullable: bool,
    default: Option<String>,
    fills_itself: bool,
}

impl Existing {
    /// Reads `Field Type Null Key Default Extra`.
    pub(super) fn read(row: Vec<Option<String>>) -> Option<Self> {
        let mut values = row.into_iter();
        let (name, type_name, null) = (values.next()??, values.next()??, values.next()??);
        let (default, extra) = (values.nth(1).flatten(), values.next().flatten());
        // Generated and AUTO_INCREMENT columns need no value either.
        let fills_itself = default.is_some() || extra.is_some_and(|extra| !extra.is_empty());
        Some(Self { name, type_name, nullable: null.eq_ignore_ascii_case("YES"), default, fills_itself })
    }
}

/// The next ALTER of an existing target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Rename {
        from: &'a str,
        to: &'a str,
    },
    /// MODIFY COLUMN must repeat the default of a widened column.
    Change {
        added: Vec<(Needed<'a>, Filling)>,
        widened: Vec<(Needed<'a>, Option<&'a str>)>,
    },
}

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

pub(super) fn incompatible(table: &Table, message: String, fix: &str) -> Fault {
    Fault::halt(Part::Table(table.name.clone()), Reason::TargetIncompatible, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        starrocks::{double::table, schema::statement::alter_table},
        table::{Fill, Kind},
    };

    fn existing(rows: &[(&str, &str)]) -> Vec<Existing> {
        let row = |(name, type_name): &(&str, &str)| {
            let texts = [name, type_name, "YES", "false"].map(|text| Some(text.to_string()));
            Existing::read(texts.into_iter().chain([None, Some(String::new())]).collect()).unwrap()
        };
        rows.iter().map(row).collect()
    }

    fn source() -> Table {
        table(&[
            ("id", Kind::BigInt),
            ("name", Kind::Text),
            ("price", Kind::Decimal { precision: 10, scale: 2 }),
        ])
    }

    const AUDIT: [(&str, &str); 4] = [
        ("dbmazz_op_type", "tinyint"),
        ("dbmazz_is_deleted", "boolean"),
        ("dbmazz_synced_at", "datetime"),
        ("dbmazz_cdc_version", "bigint"),
    ];

    /// The next statement.
    fn next(table: &Table, columns: &[(&str, &str)], held: &[TargetColumn]) -> Result<Option<String>, Fault> {
        let existing = existing(columns);
        let step = next_step(table, Values::default(), &existing, held)?;
        Ok(step.map(|step| alter_table(table, &step)))
    }

    fn held(columns: &[(i32, &str, &str)]) -> Vec<TargetColumn> {
        let held = |(number, name, made): &(i32, &str, &str)| TargetColumn::new(*number, *name, *made);
        columns.iter().map(held).collect()
    }

    fn with_audit<'a>(columns: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [columns, &AUDIT[..]].concat()
    }

    #[test]
    fn a_table_that_fits_lacks_nothing() {
        let columns = with_audit(&[
            ("ID", "bigint"),
            ("name", "varchar(20)"),
            ("price", "decimal(12,2)"),
            ("mine", "int"),
        ]);
        assert_eq!(next(&source(), &columns, &[]), Ok(None));
    }

    #[test]
    fn missing_columns_are_added_in_one_statement() {
        let mut table = source();
        table.columns[2].fill = Fill::Value("1.50".to_owned());
        let statement = next(&table, &[("id", "bigint"), ("name", "varchar(65533)")], &[]);
        assert_eq!(
            statement.unwrap().unwrap(),
            "ALTER TABLE `t` ADD COLUMN `price` DECIMAL(10,2) NULL DEFAULT \"1.50\", ADD COLUMN `dbmazz_op_type` TINYINT NULL, \
             ADD COLUMN `dbmazz_is_deleted` BOOLEAN NULL, ADD COLUMN `dbmazz_synced_at` DATETIME NULL, \
             ADD COLUMN `dbmazz_cdc_version` BIGINT NULL"
        );
    }

    #[test]
    fn a_column_whose_earlier_rows_are_not_known_is_added_by_a_person() {
        let mut table = source();
        table.columns[2].fill = Fill::Unknown;
        let columns = with_audit(&[("id", "bigint"), ("name", "varchar(20)")]);
        let fault = next(&table, &columns, &[]).unwrap_err();
        assert_eq!(fault.reason, Reason::SourceSchemaChanged);
        assert!(fault.fix.contains("ADD COLUMN `price` DECIMAL(10,2) NULL"), "{}", fault.fix);
        // It existed before and is published only now.
        table.columns[2].fill = Fill::Null;
        let before = held(&[(1, "id", "BIGINT"), (2, "name", "VARCHAR(20)"), (9, "gone", "INT")]);
        assert!(next(&table, &columns, &before).is_err());
        assert!(next(&table, &columns, &before[..2]).is_ok());
    }

    #[test]
    fn a_type_that_would_lose_something_is_refused_by_name() {
        let fault = next(&source(), &[("id", "bigint"), ("price", "decimal(10,1)")], &[]).unwrap_err();
        assert_eq!(fault.reason, Reason::TargetIncompatible);
        assert_eq!(fault.message, "column price of target table t is decimal(10,1); DECIMAL(10,2) is needed");
    }

    #[test]
    fn what_was_made_for_a_narrower_source_becomes_wider() {
        let made = held(&[(1, "id", "BIGINT"), (2, "name", "VARCHAR(80)"), (3, "price", "DECIMAL(8,2)")]);
        let columns = with_audit(&[("id", "bigint"), ("name", "varchar(80)"), ("price", "decimal(8,2)")]);
        assert_eq!(
            next(&source(), &columns, &made).unwrap().unwrap(),
            "ALTER TABLE `t` MODIFY COLUMN `name` VARCHAR(1048576) NULL, MODIFY COLUMN `price` DECIMAL(10,2) NULL"
        );
        // The same types, chosen by a person for the source as it is.
        let chosen =
            held(&[(1, "id", "BIGINT"), (2, "name", "VARCHAR(1048576)"), (3, "price", "DECIMAL(10,2)")]);
        assert!(next(&source(), &columns, &chosen).is_err());
        // The default is repeated as DESC shows it.
        let (table, mut shown) = (source(), existing(&columns));
        shown[2].default = Some("a \"b\" \\".to_owned());
        let step = next_step(&table, Values::default(), &shown, &made).unwrap().unwrap();
        assert!(
            alter_table(&table, &step)
                .ends_with(r#"MODIFY COLUMN `price` DECIMAL(10,2) NULL DEFAULT "a \"b\" \\""#),
            "{}",
            alter_table(&table, &step)
        );
        // A key column cannot be widened.
        let key = [("id", "int"), ("name", "varchar(80)"), ("price", "decimal(10,2)")];
        assert!(next(&source(), &with_audit(&key), &held(&[(1, "id", "INT")])).is_err());
    }

    #[test]
    fn what_a_target_holds_outlives_its_source() {
        let before = held(&[(2, "old name", "INT"), (7, "dropped", "INT"), (8, "PRICE", "INT")]);
        let now = held_now(&source(), Values::default(), &before).unwrap();
        let names: Vec<_> = now.iter().map(|held| (held.number, held.name.as_str())).collect();
        assert_eq!(names, [(1, "id"), (2, "name"), (3, "price"), (7, "dropped")]);
    }

    #[test]
    fn a_column_that_nobody_fills_must_be_able_to_stay_empty() {
        let column = |null: &str, default: Option<&str>| {
            let texts = [Some("mine"), Some("int"), Some(null), Some("false"), default, Some("")];
            Existing::read(texts.map(|text| text.map(str::to_owned)).to_vec()).unwrap()
        };
        let source = source();
        let next = |column: Existing| next_step(&source, Values::default(), &[column], &[]).is_ok();
        assert!(!next(column("NO", None)) && next(column("NO", Some("7"))) && next(column("YES", None)));
    }
}
