//! Statements for people, each in one place, with every name quoted: each runs as printed.

use crate::table::TableName;

/// Makes PostgreSQL send whole rows of a table. Partitions do not inherit the setting.
pub fn send_whole(name: &TableName) -> String {
    format!(
        "run at the source ALTER TABLE {} REPLICA IDENTITY FULL (of a partitioned table on each partition)",
        source(name)
    )
}

/// Drops a target and its schema history. The target first, so that rows without a schema history never remain.
pub fn drop_target(target: &str) -> String {
    format!(
        "DROP TABLE IF EXISTS {} FORCE and then DELETE FROM `dbmazz_tables` WHERE `target` = {}",
        sink(target),
        text(target)
    )
}

/// Drops a column of a target.
pub fn drop_column(target: &str, column: &str) -> String {
    format!("ALTER TABLE {} DROP COLUMN {}", sink(target), sink(column))
}

/// Deletes a job's record of prior runs, given the keys of its claims.
pub fn forget(claims: &[String]) -> String {
    let delete = |claim: &String| format!("DELETE FROM `dbmazz_jobs` WHERE `slot` = {}", text(claim));
    match claims {
        [] => "delete the job's row of `dbmazz_jobs`".to_owned(),
        claims => claims.iter().map(delete).collect::<Vec<_>>().join(" and then "),
    }
}

/// `"schema"."name"`, for PostgreSQL.
pub(super) fn source(name: &TableName) -> String {
    format!("{}.{}", identifier(&name.schema), identifier(&name.name))
}

pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted name for StarRocks. Names with a backtick were refused before.
fn sink(name: &str) -> String {
    format!("`{name}`")
}

/// A text literal for StarRocks.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        let name = TableName { schema: "Shop".into(), name: "o\"x".into() };
        assert!(send_whole(&name).contains("ALTER TABLE \"Shop\".\"o\"\"x\" REPLICA IDENTITY FULL"));
        assert!(send_whole(&name).contains("on each partition"));
        assert_eq!(drop_column("t", "two words"), "ALTER TABLE `t` DROP COLUMN `two words`");
        assert!(drop_target("it's").ends_with("WHERE `target` = 'it\\'s'"), "{}", drop_target("it's"));
    }

    #[test]
    fn a_claim_is_deleted_by_its_exact_key() {
        let claims = ["7-a_b".to_owned(), "8-a_b".to_owned()];
        assert_eq!(forget(&claims[..1]), "DELETE FROM `dbmazz_jobs` WHERE `slot` = '7-a_b'");
        assert!(forget(&claims).ends_with(" and then DELETE FROM `dbmazz_jobs` WHERE `slot` = '8-a_b'"));
        assert!(!forget(&[]).contains("DELETE"), "nothing is printed that does not run");
    }
}
