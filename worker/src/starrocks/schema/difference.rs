//! What an existing table lacks, and whether what it has will do.

use crds::Reason;

use super::statement::{Needed, needed};
use crate::{
    config::Values,
    fault::{Fault, Part},
    starrocks::{name::same_column, target::TargetType},
    table::Table,
};

/// A column as DESC shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Existing {
    name: String,
    /// As it is printed; the types that this version knows are few.
    type_name: String,
    nullable: bool,
    has_default: bool,
}

impl Existing {
    /// Reads `Field Type Null Key Default Extra`.
    pub(super) fn read(row: Vec<Option<String>>) -> Option<Self> {
        let mut values = row.into_iter();
        let (name, type_name, null) = (values.next()??, values.next()??, values.next()??);
        let (default, extra) = (values.nth(1).flatten(), values.next().flatten());
        // Generated and counted columns fill themselves.
        let has_default = default.is_some() || extra.is_some_and(|extra| !extra.is_empty());
        Some(Self { name, type_name, nullable: null.eq_ignore_ascii_case("YES"), has_default })
    }
}

/// The columns that have to be added.
pub(super) fn difference<'a>(
    table: &'a Table,
    values: Values,
    existing: &[Existing],
) -> Result<Vec<Needed<'a>>, Fault> {
    let needed = needed(table, values)?;
    check_strangers(table, &needed, existing)?;
    let mut missing = Vec::new();
    for column in needed {
        match existing.iter().find(|existing| same_column(&existing.name, column.name)) {
            Some(existing) => check_type(table, &column, existing)?,
            None => missing.push(column),
        }
    }
    Ok(missing)
}

fn check_type(table: &Table, needed: &Needed<'_>, existing: &Existing) -> Result<(), Fault> {
    if TargetType::read(&existing.type_name).is_some_and(|found| found.holds(needed.target)) {
        return Ok(());
    }
    let (name, found, needed) = (needed.name, &existing.type_name, needed.target);
    let message =
        format!("column {name} of target table {} is {found}, and {needed} is needed", table.target);
    Err(incompatible(
        table,
        message,
        "change the column's type in StarRocks, or drop the target table and let it be made anew",
    ))
}

/// A column of the target that no row of the source fills must be able to stay empty.
fn check_strangers(table: &Table, needed: &[Needed<'_>], existing: &[Existing]) -> Result<(), Fault> {
    let unfilled = |column: &&Existing| !needed.iter().any(|needed| same_column(needed.name, &column.name));
    let demanding = |column: &&Existing| !column.nullable && !column.has_default;
    match existing.iter().find(|column| unfilled(column) && demanding(column)) {
        None => Ok(()),
        Some(column) => {
            let message = format!(
                "column {} of target table {} needs a value and the source has none",
                column.name, table.target
            );
            Err(incompatible(table, message, "make the column nullable, give it a default, or drop it"))
        }
    }
}

/// Whether SHOW CREATE TABLE shows a primary-key table with the same key columns.
pub(super) fn primary_key(table: &Table, create: &str) -> Result<(), Fault> {
    let fix = "drop the target table and let it be made anew, or name another database";
    let Some(found) = key_columns(create) else {
        let message = format!("target table {} is not a primary-key table", table.target);
        return Err(incompatible(table, message, fix));
    };
    let keys: Vec<_> = table
        .key
        .iter()
        .filter_map(|place| table.columns.get(*place))
        .map(|column| column.name.as_str())
        .collect();
    let same =
        found.len() == keys.len() && keys.iter().all(|key| found.iter().any(|found| same_column(found, key)));
    if same {
        return Ok(());
    }
    let (found, keys) = (found.join(", "), keys.join(", "));
    let message =
        format!("target table {} has the primary key ({found}), and ({keys}) is needed", table.target);
    Err(incompatible(table, message, fix))
}

/// The names in the line ``PRIMARY KEY(`a`, `b`)``, which stands alone, below the columns.
fn key_columns(create: &str) -> Option<Vec<&str>> {
    let line = create.lines().find_map(|line| line.trim().strip_prefix("PRIMARY KEY"))?;
    let list = line.trim().strip_prefix('(')?.trim_end().strip_suffix(')')?;
    // Names are in backticks and hold none, so every second part is a name.
    Some(list.split('`').skip(1).step_by(2).collect())
}

fn incompatible(table: &Table, message: String, fix: &str) -> Fault {
    Fault::halt(Part::Table(table.name.clone()), Reason::TargetIncompatible, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        starrocks::{double::table, schema::statement::add_columns},
        table::Kind,
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

    #[test]
    fn a_table_that_fits_lacks_nothing() {
        let columns = [
            &[("ID", "bigint"), ("name", "varchar(20)"), ("price", "decimal(12,2)"), ("mine", "int")],
            &AUDIT[..],
        ]
        .concat();
        assert_eq!(difference(&source(), Values::default(), &existing(&columns)), Ok(vec![]));
    }

    #[test]
    fn missing_columns_are_added_in_one_statement() {
        let (table, found) = (source(), existing(&[("id", "bigint"), ("name", "varchar(65533)")]));
        let missing = difference(&table, Values::default(), &found).unwrap();
        assert_eq!(
            add_columns(&table, &missing).unwrap(),
            "ALTER TABLE `t` ADD COLUMN `price` DECIMAL(10,2) NULL, ADD COLUMN `dbmazz_op_type` TINYINT NULL, \
             ADD COLUMN `dbmazz_is_deleted` BOOLEAN NULL, ADD COLUMN `dbmazz_synced_at` DATETIME NULL, \
             ADD COLUMN `dbmazz_cdc_version` BIGINT NULL"
        );
        assert_eq!(add_columns(&table, &[]), None);
    }

    #[test]
    fn a_type_that_would_lose_something_is_refused_by_name() {
        let fault = difference(
            &source(),
            Values::default(),
            &existing(&[("id", "bigint"), ("price", "decimal(10,1)")]),
        )
        .unwrap_err();
        assert_eq!(fault.reason, Reason::TargetIncompatible);
        assert_eq!(
            fault.message,
            "column price of target table t is decimal(10,1), and DECIMAL(10,2) is needed"
        );
    }

    #[test]
    fn a_column_that_nobody_fills_must_be_able_to_stay_empty() {
        let column = |null: &str, default: Option<&str>| {
            let texts = [Some("mine"), Some("int"), Some(null), Some("false"), default, Some("")];
            Existing::read(texts.map(|text| text.map(str::to_owned)).to_vec()).unwrap()
        };
        assert!(difference(&source(), Values::default(), &[column("NO", None)]).is_err());
        assert!(difference(&source(), Values::default(), &[column("NO", Some("7"))]).is_ok());
        assert!(difference(&source(), Values::default(), &[column("YES", None)]).is_ok());
    }

    #[test]
    fn the_key_must_be_a_primary_key_of_the_same_columns() {
        let create = |key: &str| {
            format!(
                "CREATE TABLE `t` (\n  `id` bigint(20) NOT NULL COMMENT \"\"\n) ENGINE=OLAP \n{key}\nDISTRIBUTED BY HASH(`id`) BUCKETS 1 "
            )
        };
        let fits = |key: &str| primary_key(&source(), &create(key)).is_ok();
        assert!(fits("PRIMARY KEY(`id`)"));
        assert!(fits("PRIMARY KEY(`ID`)"));
        assert!(!fits("PRIMARY KEY(`id`, `name`)"));
        assert!(!fits("PRIMARY KEY(`name`)"));
        assert!(!fits("DUPLICATE KEY(`id`)"));
        assert!(!fits(""));
    }
}
