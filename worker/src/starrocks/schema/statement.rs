//! The statements that create a target and alter it.

use super::{
    model::{Filling, Needed, Step},
    needed::needed,
};
use crate::{config::Values, fault::Fault, starrocks::sql::quoted, table::Table};

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

#[cfg(test)]
mod tests {
    use crds::Reason;

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
