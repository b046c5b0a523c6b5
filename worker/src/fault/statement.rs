//! Statements for people, each in one place, with every name in quotes: each runs as it stands.

use crate::table::TableName;

/// What makes PostgreSQL send whole rows of a table. A partitioned table does not pass it on to its partitions.
pub fn send_whole(name: &TableName) -> String {
    format!(
        "run at the source ALTER TABLE {} REPLICA IDENTITY FULL (of a partitioned table on each partition)",
        source(name)
    )
}

/// What takes away a target with all that is kept of it. The target first, so that a row that the worker finds no note
/// of is a row of nobody.
pub fn drop_target(target: &str) -> String {
    format!(
        "DROP TABLE IF EXISTS {} FORCE and then DELETE FROM `dbmazz_tables` WHERE `target` = {}",
        sink(target),
        text(target)
    )
}

/// What takes a column away from a target.
pub fn drop_column(target: &str, column: &str) -> String {
    format!("ALTER TABLE {} DROP COLUMN {}", sink(target), sink(column))
}

/// What makes a job one without a past, where its claims of slots have these keys.
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

/// A name for StarRocks. One with a backtick was refused before.
fn sink(name: &str) -> String {
    format!("`{name}`")
}

/// A text for StarRocks.
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
