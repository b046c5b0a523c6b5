//! Whether an existing target has the key of the source.

use super::fault::incompatible;
use crate::{
    fault::{Fault, take_anew},
    starrocks::schema::name_check::same_column,
    table::Table,
};

/// Checks that SHOW CREATE TABLE shows a primary-key table with the same key columns.
pub(super) fn primary_key(table: &Table, create: &str) -> Result<(), Fault> {
    let fix = &take_anew(table);
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
    let message = format!("target table {} has the primary key ({found}); ({keys}) is needed", table.target);
    Err(incompatible(table, message, fix))
}

/// The names in the line ``PRIMARY KEY(`a`, `b`)``, which is a line of its own below the columns.
fn key_columns(create: &str) -> Option<Vec<&str>> {
    let line = create.lines().find_map(|line| line.trim().strip_prefix("PRIMARY KEY"))?;
    let list = line.trim().strip_prefix('(')?.trim_end().strip_suffix(')')?;
    // Names are in backticks and contain none, so every second part is a name.
    Some(list.split('`').skip(1).step_by(2).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{starrocks::double::table, table::Kind};

    #[test]
    fn the_key_must_be_a_primary_key_of_the_same_columns() {
        let create = |key: &str| {
            format!(
                "CREATE TABLE `t` (\n  `id` bigint(20) NOT NULL COMMENT \"\"\n) ENGINE=OLAP \n{key}\nDISTRIBUTED BY HASH(`id`) BUCKETS 1 "
            )
        };
        let source = table(&[("id", Kind::BigInt), ("name", Kind::Text)]);
        let fits = |key: &str| primary_key(&source, &create(key)).is_ok();
        assert!(fits("PRIMARY KEY(`id`)"));
        assert!(fits("PRIMARY KEY(`ID`)"));
        assert!(!fits("PRIMARY KEY(`id`, `name`)"));
        assert!(!fits("PRIMARY KEY(`name`)"));
        assert!(!fits("DUPLICATE KEY(`id`)"));
        assert!(!fits(""));
    }
}
