//! The columns of one table to compare, and the statements that read them.
//!
//! Pure. In: the columns of both sides as their catalogues show them. Out: key and values in the same order for both
//! sides. The key is the target's, because it is what identifies a row there.

use std::fmt::Write;

use super::{
    form::{Elements, Form},
    key::{Key, KeyColumn, Order},
};
use crate::{postgres::sql, table::TableName};

const DELETED: &str = "dbmazz_is_deleted";
const OWN_PREFIX: &str = "dbmazz_";

/// A source table, as the catalogue shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceTable {
    pub(super) columns: Vec<SourceColumn>,
    /// Whether inheriting tables are excluded (`ONLY`), as in the publication.
    pub(super) only: bool,
    /// The publication's row filter: other rows are not compared.
    pub(super) filter: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    pub(super) type_name: String,
    pub(super) array: Option<Elements>,
    pub(super) generated: bool,
}

/// A target column, as DESC shows it.
#[derive(Debug, Clone)]
pub(super) struct TargetColumn {
    pub(super) name: String,
    pub(super) type_name: String,
    pub(super) is_key: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) name: TableName,
    pub(super) key: Vec<KeyColumn>,
    pub(super) values: Vec<Value>,
    /// Whether the target has the column that marks deleted rows.
    pub(super) marked: bool,
    only: bool,
    filter: Option<String>,
    target: String,
}

#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) form: Form,
}

impl Plan {
    /// Fails with the reason when the two cannot be compared.
    pub(super) fn new(
        name: &TableName,
        database: &str,
        source: SourceTable,
        target: &[TargetColumn],
    ) -> Result<Self, String> {
        let SourceTable { columns, only, filter } = source;
        let in_source = |name: &str| columns.iter().find(|column| same(&column.name, name));
        let keys = target.iter().filter(|column| column.is_key);
        let key =
            keys.map(|column| key_column(column, in_source(&column.name))).collect::<Result<Vec<_>, _>>()?;
        if key.is_empty() {
            return Err("its target has no primary key".to_owned());
        }
        let others = columns.iter().filter(|column| !key.iter().any(|key| key.name == column.name));
        let mut values = Vec::new();
        for column in others {
            match target.iter().find(|target| same(&target.name, &column.name)) {
                Some(target) => values.push(Value {
                    name: column.name.clone(),
                    form: Form::of(&column.type_name, column.array.as_ref(), &target.type_name),
                }),
                None if column.generated => {}
                None => return Err(format!("column {} is missing in StarRocks", column.name)),
            }
        }
        let marked = target.iter().any(|column| same(&column.name, DELETED));
        let target = format!("{}.{}", quoted(database), quoted(&name.target()));
        Ok(Self { name: name.clone(), key, values, marked, only, filter, target })
    }

    /// All rows of the source, in key order.
    pub(super) fn source_scan(&self) -> String {
        let filter = self.filter.as_ref().map_or(String::new(), |filter| format!(" WHERE {filter}"));
        let order: Vec<_> = self.key.iter().map(KeyColumn::ordered).collect();
        format!("{}{filter} ORDER BY {}", self.source_select(), order.join(", "))
    }

    /// The source rows with one of these keys.
    pub(super) fn source_look(&self, keys: &[&Key]) -> String {
        let one = |key: &&Key| {
            let parts = self.key.iter().zip(&key.0);
            let parts: Vec<_> = parts.map(|(column, part)| column.equals_at_source(part)).collect();
            format!("({})", parts.join(" AND "))
        };
        let any: Vec<_> = keys.iter().map(one).collect();
        let filter = self.filter.as_ref().map_or(String::new(), |filter| format!(" AND {filter}"));
        format!("{} WHERE ({}){filter}", self.source_select(), any.join(" OR "))
    }

    fn source_select(&self) -> String {
        let keys = self.key.iter().map(KeyColumn::selected);
        let values = self.values.iter().map(|column| sql::identifier(&column.name));
        let columns: Vec<_> = keys.chain(values).collect();
        let only = if self.only { "ONLY " } else { "" };
        format!("SELECT {} FROM {only}{}", columns.join(", "), sql::table(&self.name))
    }

    /// The next rows of the target, in key order.
    pub(super) fn sink_page(&self, after: Option<&Key>, rows: usize) -> String {
        let after = after.map_or(String::new(), |key| format!(" WHERE {}", self.behind(key)));
        let order: Vec<_> = self.key.iter().map(|column| quoted(&column.name)).collect();
        format!("{}{after} ORDER BY {} LIMIT {rows}", self.sink_select(), order.join(", "))
    }

    /// The target rows with one of these keys.
    pub(super) fn sink_look(&self, keys: &[&Key]) -> String {
        let any: Vec<_> = keys.iter().map(|key| format!("({})", self.equal(key, key.0.len()))).collect();
        format!("{} WHERE {}", self.sink_select(), any.join(" OR "))
    }

    fn sink_select(&self) -> String {
        let mark = self.marked.then(|| quoted(DELETED));
        let keys = self.key.iter().map(|column| quoted(&column.name));
        let values = self.values.iter().map(|column| quoted(&column.name));
        let columns: Vec<_> = keys.chain(values).chain(mark).collect();
        format!("SELECT {} FROM {}", columns.join(", "), self.target)
    }

    /// `a > 1 OR (a = 1 AND b > 2)`: the keys after this one.
    fn behind(&self, key: &Key) -> String {
        let mut behind = String::new();
        for (place, (column, part)) in self.key.iter().zip(&key.0).enumerate() {
            let or = if place == 0 { "(" } else { " OR (" };
            let equal = self.equal(key, place);
            let and = if place == 0 { "" } else { " AND " };
            // Writing to a String cannot fail.
            let _ = write!(behind, "{or}{equal}{and}{} > {})", quoted(&column.name), part.at_sink());
        }
        behind
    }

    /// The condition that the first `count` parts equal those of `key`.
    fn equal(&self, key: &Key, count: usize) -> String {
        let parts = self.key.iter().zip(&key.0).take(count);
        let parts: Vec<_> =
            parts.map(|(column, part)| format!("{} = {}", quoted(&column.name), part.at_sink())).collect();
        parts.join(" AND ")
    }
}

fn key_column(target: &TargetColumn, source: Option<&SourceColumn>) -> Result<KeyColumn, String> {
    let TargetColumn { name, type_name, .. } = target;
    let source = source.ok_or_else(|| format!("key column {name} of the target is missing in PostgreSQL"))?;
    let order = Order::of(type_name).ok_or_else(|| format!("key column {name} has type {type_name}"))?;
    Ok(KeyColumn { name: source.name.clone(), source_type: source.type_name.clone(), order })
}

/// StarRocks' column names are case-insensitive.
fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Quotes a name; StarRocks has no names with a backtick.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', ""))
}

/// The audit columns, which the source does not have.
pub(super) fn is_own(name: &str) -> bool {
    name.to_lowercase().starts_with(OWN_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(columns: &[(&str, &str)]) -> SourceTable {
        let column = |(name, type_name): &(&str, &str)| SourceColumn {
            name: (*name).into(),
            type_name: (*type_name).into(),
            array: None,
            generated: *name == "made",
        };
        SourceTable { columns: columns.iter().map(column).collect(), only: true, filter: None }
    }

    fn target(columns: &[(&str, &str)]) -> Vec<TargetColumn> {
        let column = |(name, type_name): &(&str, &str)| TargetColumn {
            name: (*name).into(),
            type_name: (*type_name).into(),
            is_key: matches!(*name, "a" | "b"),
        };
        columns.iter().map(column).collect()
    }

    fn plan(source: SourceTable, target: &[TargetColumn]) -> Result<Plan, String> {
        Plan::new(&TableName { schema: "s".into(), name: "t".into() }, "d", source, target)
    }

    fn composite() -> Plan {
        let columns = [("x", "text"), ("a", "int4"), ("b", "text"), ("made", "int4")];
        let target =
            [("a", "int"), ("b", "varchar(128)"), ("x", "varchar(9)"), (DELETED, "boolean"), ("kept", "int")];
        plan(source(&columns), &self::target(&target)).unwrap()
    }

    fn key(number: i128, text: &str) -> Key {
        Key(vec![super::super::key::Part::Number(number), super::super::key::Part::Text(text.into())])
    }

    #[test]
    fn both_sides_are_asked_for_one_order() {
        let plan = composite();
        assert_eq!(
            plan.source_scan(),
            "SELECT \"a\", pg_catalog.format('%s', \"b\"), \"x\" FROM ONLY \"s\".\"t\" \
             ORDER BY \"a\", (pg_catalog.format('%s', \"b\")) COLLATE \"C\""
        );
        assert_eq!(
            plan.sink_page(Some(&key(7, "x")), 10),
            "SELECT `a`, `b`, `x`, `dbmazz_is_deleted` FROM `d`.`s__t` \
             WHERE (`a` > 7) OR (`a` = 7 AND `b` > 'x') ORDER BY `a`, `b` LIMIT 10"
        );
    }

    #[test]
    fn rows_are_looked_at_again_by_their_keys() {
        let plan = composite();
        let (one, two) = (key(1, "x"), key(2, "y"));
        assert!(
            plan.source_look(&[&one])
                .ends_with("WHERE ((\"a\" = '1' AND (pg_catalog.format('%s', \"b\")) COLLATE \"C\" = 'x'))")
        );
        assert!(
            plan.sink_look(&[&one, &two])
                .ends_with("WHERE (`a` = 1 AND `b` = 'x') OR (`a` = 2 AND `b` = 'y')")
        );
    }

    #[test]
    fn what_the_publication_leaves_out_does_not_count() {
        let table = SourceTable { filter: Some("(x > 1)".into()), ..source(&[("a", "int4"), ("x", "int4")]) };
        let plan = plan(table, &target(&[("a", "int"), ("x", "int")])).unwrap();
        assert!(plan.source_scan().contains(" WHERE (x > 1) ORDER BY "), "{}", plan.source_scan());
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        for (columns, expected) in [
            (vec![("a", "int")], "column x is missing"),
            (vec![("x", "int")], "no primary key"),
            (vec![("a", "int"), ("b", "int"), ("x", "int")], "key column b"),
            (vec![("a", "json"), ("x", "int")], "has type json"),
        ] {
            let problem = plan(source(&[("a", "int4"), ("x", "int4")]), &target(&columns)).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
