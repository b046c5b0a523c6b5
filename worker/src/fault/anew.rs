//! The remedy for a target whose earlier rows cannot be trusted: a person has the table replicated anew.

use super::statement::{drop_target, identifier, send_whole, source};
use crate::table::{Column, Kind, Table, TableName};

/// For a table whose columns are not known.
const WHERE_REFUSED: &str = "where PostgreSQL refuses that UPDATE, for not all columns of a table are published, set the \
    replica identity back and add to the UPDATE c = (c::text || '')::its type for each column c that may be large";

/// The steps after which the target is created anew and every row of the source is sent again. Each statement runs as
/// printed. The target is dropped first, so that rows without a schema history never remain.
pub fn take_anew(table: &Table) -> String {
    sentence(&table.name, &send_again(table))
}

/// The same where the table's columns are not known.
pub fn take_anew_by_name(name: &TableName) -> String {
    sentence(name, &format!("{}; {WHERE_REFUSED}", sending(name, None)))
}

/// The same for every table of a job whose record of prior runs is deleted by `forget`. That comes last: the job begins
/// again with it, and must find no earlier row.
pub fn take_all_anew(forget: &str) -> String {
    format!(
        "take every table anew: in StarRocks' target database run for each, t being its target, \
         DROP TABLE IF EXISTS `t` FORCE and then DELETE FROM `dbmazz_tables` WHERE `target` = 't', and after all of \
         them {forget}; when the job has made the targets again, run at the source for each table, t being its name and \
         k a column of its key, ALTER TABLE t REPLICA IDENTITY FULL (of a partitioned table on each partition) and then \
         UPDATE t SET k = k so that every row is sent again, large values too; the replica identity may be set back \
         then; {WHERE_REFUSED}"
    )
}

/// The steps that make PostgreSQL send every row whole again, into an existing target.
pub fn send_again(table: &Table) -> String {
    if table.facts.refuses_full() {
        return writing(table);
    }
    let key = table.key.first().and_then(|place| table.columns.get(*place));
    sending(&table.name, key.map(|column| column.name.as_str()))
}

fn sentence(name: &TableName, again: &str) -> String {
    let drop = drop_target(&name.target());
    format!("take the table anew: in StarRocks run {drop}; when the job has made the target again, {again}")
}

/// With REPLICA IDENTITY FULL an update sends large values that it did not change, too.
fn sending(name: &TableName, key: Option<&str>) -> String {
    let (whole, source) = (send_whole(name), source(name));
    let (column, which) =
        key.map_or_else(|| ("k".to_owned(), ", k being a column of its key,"), |key| (identifier(key), ""));
    format!(
        "{whole} and then UPDATE {source} SET {column} = {column}{which} so that every row is sent again, large values \
         too; the replica identity may be set back then"
    )
}

/// For a table whose replica identity cannot be FULL. A large value that is computed anew is sent, though it is equal.
fn writing(table: &Table) -> String {
    let name = source(&table.name);
    let key = table.key.first().and_then(|place| table.columns.get(*place));
    let key = key.map(|column| format!("{0} = {0}", identifier(&column.name)));
    let is_of_key = |place: &usize| table.key.contains(place);
    let columns = table.columns.iter().enumerate().filter(|(place, _)| !is_of_key(place));
    let large = columns.filter(|(_, column)| may_be_large(column)).map(|(_, column)| {
        let (column, kind) = (identifier(&column.name), &column.source_type);
        format!("{column} = ({column}::text || '')::{kind}")
    });
    let values = key.into_iter().chain(large).collect::<Vec<_>>().join(", ");
    format!(
        "run at the source UPDATE {name} SET {values} so that every row is sent again, large values too (under \
         REPLICA IDENTITY FULL PostgreSQL may refuse every update of this table, for not all of its columns are \
         published)"
    )
}

/// Whether PostgreSQL may store the value out of line (TOAST), and so leave it out of an update that does not change it.
fn may_be_large(column: &Column) -> bool {
    const SMALL: [&str; 6] = ["interval", "time", "uuid", "inet", "cidr", "macaddr"];
    match column.kind {
        _ if column.representation.expression.is_some() => false,
        Kind::ShortText { .. } => !SMALL.iter().any(|kind| column.source_type.starts_with(kind)),
        Kind::Decimal { .. } | Kind::Numeric | Kind::Text | Kind::PaddedText { .. } => true,
        Kind::Opaque | Kind::Bytes | Kind::Json | Kind::Jsonb | Kind::Array { .. } | Kind::Hstore => true,
        Kind::Boolean | Kind::SmallInt | Kind::Integer | Kind::BigInt | Kind::Unsigned64 => false,
        Kind::Real | Kind::Double | Kind::Money | Kind::Date | Kind::Timestamp | Kind::TimestampTz => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Facts, TableId};

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

    #[test]
    fn where_full_is_refused_large_values_are_computed_anew_and_the_key_is_left_alone() {
        let name = TableName::parse("public.t").unwrap();
        let columns = vec![
            Column::new("id", Kind::Text, "text"),
            Column::new("n", Kind::Integer, "integer"),
            Column::new("w", Kind::ShortText { characters: 50 }, "interval"),
            Column::new("s", Kind::ShortText { characters: 50 }, "character varying(50)"),
            Column::new("j", Kind::Jsonb, "jsonb"),
        ];
        let target = name.target();
        let facts = Facts { left_out: [(9, "g".to_owned())].into(), ..Facts::default() };
        let table = Table { id: TableId(0), name, target, columns, key: vec![0], last_number: 9, facts };
        let update = "run at the source UPDATE \"public\".\"t\" SET \"id\" = \"id\", \
                      \"s\" = (\"s\"::text || '')::character varying(50), \"j\" = (\"j\"::text || '')::jsonb so";
        for fix in [take_anew(&table), send_again(&table)] {
            assert!(fix.contains(update) && !fix.contains("ALTER TABLE"), "{fix}");
        }
    }
}
