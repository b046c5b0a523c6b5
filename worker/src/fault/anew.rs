//! The one remedy for a target whose earlier rows cannot be known: the table is taken anew, by hand.

use crate::table::{Table, TableName};

/// What a person does so that the target is made anew and every row of the source comes again. Each statement runs as
/// it stands. First the target, so that a row that the worker finds no note of is a row of nobody.
pub fn take_anew(table: &Table) -> String {
    let key = table.key.first().and_then(|place| table.columns.get(*place));
    sentence(&table.name, key.map(|column| column.name.as_str()))
}

/// The same where the table's columns are not known.
pub fn take_anew_by_name(name: &TableName) -> String {
    sentence(name, None)
}

/// The same for every table of a job that forgets its past by `forget`. That comes last: the job begins again with it,
/// and must find no row of before.
pub fn take_all_anew(forget: &str) -> String {
    format!(
        "take every table anew: in StarRocks' target database run for each, t being its target, \
         DROP TABLE IF EXISTS `t` FORCE and then DELETE FROM `dbmazz_tables` WHERE `target` = 't', and after all of \
         them {forget}; when the job has made the targets again, run at the source for each table, t being its name and \
         k a column of its key, ALTER TABLE t REPLICA IDENTITY FULL (of a partitioned table on each partition) and then \
         UPDATE t SET k = k so that every row is sent again, large values too; the replica identity may be set back then"
    )
}

/// What makes PostgreSQL send every row whole again, into a target that is there.
pub fn send_again(table: &Table) -> String {
    let key = table.key.first().and_then(|place| table.columns.get(*place));
    sending(&table.name, key.map(|column| column.name.as_str()))
}

fn sentence(name: &TableName, key: Option<&str>) -> String {
    let (target, again) = (name.target(), sending(name, key));
    let noted = target.replace('\\', "\\\\").replace('\'', "\\'");
    format!(
        "take the table anew: in StarRocks run DROP TABLE IF EXISTS `{target}` FORCE and then DELETE FROM `dbmazz_tables` \
         WHERE `target` = '{noted}'; when the job has made the target again, {again}"
    )
}

/// Without FULL an update leaves out large values that it did not change.
fn sending(name: &TableName, key: Option<&str>) -> String {
    let source = format!("{}.{}", identifier(&name.schema), identifier(&name.name));
    let (column, which) =
        key.map_or_else(|| ("k".to_owned(), ", k being a column of its key,"), |key| (identifier(key), ""));
    format!(
        "run at the source ALTER TABLE {source} REPLICA IDENTITY FULL (of a partitioned table on each partition) and then \
         UPDATE {source} SET {column} = {column}{which} so that every row is sent again, large values too; the replica \
         identity may be set back then"
    )
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, Kind, TableId};

    #[test]
    fn the_statements_are_quoted_and_name_the_key() {
        let name = TableName { schema: "shop".into(), name: "Or\"ders".into() };
        let columns =
            vec![Column::new("note", Kind::Text, "text"), Column::new("Id", Kind::Integer, "integer")];
        let target = name.target();
        let table = Table {
            id: TableId(0),
            name,
            target,
            columns,
            key: vec![1],
            last_number: 2,
            facts: Default::default(),
        };
        let fix = take_anew(&table);
        for part in [
            "DROP TABLE IF EXISTS `shop__Or\"ders` FORCE",
            "DELETE FROM `dbmazz_tables` WHERE `target` = 'shop__Or\"ders'",
            "ALTER TABLE \"shop\".\"Or\"\"ders\" REPLICA IDENTITY FULL",
            "UPDATE \"shop\".\"Or\"\"ders\" SET \"Id\" = \"Id\" so",
        ] {
            assert!(fix.contains(part), "{part} in {fix}");
        }
        assert!(take_anew_by_name(&table.name).contains("SET k = k, k being"));
    }
}
