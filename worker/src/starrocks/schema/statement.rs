//! The statements that create a target and alter it.

use crds::Reason;

use super::{difference::Step, fill::Filling};
use crate::{
    config::Values,
    fault::{Fault, Part},
    starrocks::{
        AUDIT_COLUMNS,
        sql::quoted,
        target::{LONGEST_KEY, TargetType, target_type},
    },
    table::{Column, Table},
};

/// A column that the target needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needed<'a> {
    /// The column number at the source; none for an audit column.
    pub(super) number: Option<i32>,
    pub(super) name: &'a str,
    pub(super) target: TargetType,
    pub(super) key: bool,
}

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

pub(super) fn create_table(table: &Table, values: Values, replicas: u64) -> Result<String, Fault> {
    let needed = needed(table, values)?;
    let columns: Vec<_> = needed.iter().map(Needed::definition).collect();
    let keys: Vec<_> = needed.iter().filter(|column| column.key).map(|column| quoted(column.name)).collect();
    let (name, columns, keys) = (quoted(&table.target), columns.join(", "), keys.join(", "));
    Ok(format!(
        "CREATE TABLE IF NOT EXISTS {name} ({columns}) PRIMARY KEY ({keys}) DISTRIBUTED BY HASH({keys}) \
         PROPERTIES (\"replication_num\" = \"{replicas}\", \"enable_persistent_index\" = \"true\", \
         \"fast_schema_evolution\" = \"true\")"
    ))
}

/// One statement, and so one job in StarRocks, for all changes of a step.
pub(super) fn alter_table(table: &Table, step: &Step<'_>) -> String {
    let clauses: Vec<_> = match step {
        Step::Rename { from, to } => vec![format!("RENAME COLUMN {} TO {}", quoted(from), quoted(to))],
        Step::Change { added, widened } => {
            let add = |(column, filling): &(Needed<'_>, Filling)| match filling {
                Filling::Null => format!("ADD COLUMN {}", column.definition()),
                Filling::Text(text) => format!("ADD COLUMN {} DEFAULT \"{text}\"", column.definition()),
            };
            let widen = |(column, default): &(Needed<'_>, Option<&str>)| {
                let default = default.map_or_else(String::new, with_default);
                format!("MODIFY COLUMN {}{default}", column.definition())
            };
            added.iter().map(add).chain(widened.iter().map(widen)).collect()
        }
    };
    format!("ALTER TABLE {} {}", quoted(&table.target), clauses.join(", "))
}

/// The default as DESC shows it: StarRocks accepts MODIFY COLUMN only with the existing default.
fn with_default(shown: &str) -> String {
    format!(" DEFAULT \"{}\"", shown.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Needed<'_> {
    pub(super) fn definition(&self) -> String {
        let null = if self.key { "NOT NULL" } else { "NULL" };
        format!("{} {} {null}", quoted(self.name), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{starrocks::double::table, table::Kind};

    #[test]
    fn a_table_has_its_key_first_and_the_audit_columns_last() {
        let mut table = table(&[("name", Kind::Text), ("b", Kind::Date), ("a", Kind::BigInt)]);
        table.key = vec![2, 1];
        assert_eq!(
            create_table(&table, Values::default(), 3).unwrap(),
            "CREATE TABLE IF NOT EXISTS `t` (`a` BIGINT NOT NULL, `b` DATE NOT NULL, `name` VARCHAR(1048576) NULL, \
             `dbmazz_op_type` TINYINT NULL, `dbmazz_is_deleted` BOOLEAN NULL, `dbmazz_synced_at` DATETIME NULL, \
             `dbmazz_cdc_version` BIGINT NULL) PRIMARY KEY (`a`, `b`) DISTRIBUTED BY HASH(`a`, `b`) \
             PROPERTIES (\"replication_num\" = \"3\", \"enable_persistent_index\" = \"true\", \
             \"fast_schema_evolution\" = \"true\")"
        );
    }

    #[test]
    fn a_key_that_starrocks_cannot_hold_is_refused_by_name() {
        let fault = create_table(&table(&[("price", Kind::Opaque)]), Values::default(), 1).unwrap_err();
        assert_eq!(fault.reason, Reason::UnsupportedColumnType);
        assert!(fault.message.contains("price") && fault.message.contains("public.t"), "{}", fault.message);
    }

    #[test]
    fn a_key_of_too_many_columns_is_refused() {
        let names: Vec<_> = (0..17).map(|place| format!("k{place}")).collect();
        let mut table = table(&names.iter().map(|name| (name.as_str(), Kind::BigInt)).collect::<Vec<_>>());
        table.key = (0..16).collect();
        assert!(create_table(&table, Values::default(), 1).is_ok());
        table.key = (0..17).collect();
        assert_eq!(
            create_table(&table, Values::default(), 1).unwrap_err().reason,
            Reason::UnsupportedColumnType
        );
    }
}
