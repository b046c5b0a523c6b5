//! The oracle: once traffic stops, every table in PostgreSQL equals its live rows in StarRocks.
//!
//! Both sides are read as text and brought to one spelling by the column's type; keys that are missing
//! or extra, and values that differ, are named.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::{sink::Sink, source::Source, wait};

/// A table on both sides: the same column names, the key among them.
#[derive(Debug, Clone)]
pub struct Pair {
    /// `schema.name` in PostgreSQL.
    pub source: String,
    /// `database.name` in StarRocks.
    pub target: String,
    pub key: Vec<String>,
}

impl Pair {
    pub fn new(source: &str, target: &str, key: &[&str]) -> Self {
        let key = key.iter().map(|name| (*name).to_owned()).collect();
        Self { source: source.into(), target: target.into(), key }
    }
}

type Key = Vec<String>;
type Rows = BTreeMap<Key, Vec<Option<String>>>;

/// What differs, in words; empty when the sides are equal. Lists ten differences at most.
pub async fn differences(source: &Source, sink: &Sink, pair: &Pair) -> Result<Vec<String>> {
    let columns = columns(source, &pair.source).await?;
    let (expected, found) =
        tokio::try_join!(of_source(source, pair, &columns), of_sink(sink, pair, &columns))?;
    let mut differences = Vec::new();
    for (key, row) in &expected {
        match found.get(key) {
            None => differences.push(format!("{} {key:?} is missing in StarRocks", pair.source)),
            Some(other) => differences.extend(differing(&pair.source, key, &columns, row, other)),
        }
    }
    let extra = found.keys().filter(|key| !expected.contains_key(*key));
    differences.extend(extra.map(|key| format!("{} {key:?} is extra in StarRocks", pair.source)));
    differences.truncate(10);
    Ok(differences)
}

/// Waits until both sides of every pair are equal; fails with what differs when they never are.
pub async fn until_equal(source: &Source, sink: &Sink, pairs: &[Pair]) -> Result<u64> {
    let compare = async || {
        for pair in pairs {
            let differences = differences(source, sink, pair).await?;
            anyhow::ensure!(differences.is_empty(), "{}", differences.join("\n"));
        }
        Ok(Some(()))
    };
    wait::until("both sides are equal", compare).await?;
    let mut rows = 0;
    for pair in pairs {
        let count = source.value(&format!("SELECT count(*) FROM {}", pair.source)).await?;
        rows += count.context("a count")?.parse::<u64>()?;
    }
    Ok(rows)
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
}

async fn columns(source: &Source, table: &str) -> Result<Vec<Column>> {
    let sql = format!(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute \
         WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' \
         ORDER BY attnum"
    );
    let rows = source.rows(&sql).await?;
    let column = |row: Vec<Option<String>>| {
        let mut values = row.into_iter().flatten();
        Some(Column { name: values.next()?, kind: values.next()? })
    };
    Ok(rows.into_iter().filter_map(column).collect())
}

async fn of_source(source: &Source, pair: &Pair, columns: &[Column]) -> Result<Rows> {
    let names: Vec<_> = columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let rows = source.rows(&format!("SELECT {} FROM {}", names.join(", "), pair.source)).await?;
    keyed(pair, columns, rows)
}

async fn of_sink(sink: &Sink, pair: &Pair, columns: &[Column]) -> Result<Rows> {
    let mut names: Vec<_> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
    names.push("`dbmazz_is_deleted`".to_owned());
    let rows = sink.rows(&format!("SELECT {} FROM {}", names.join(", "), pair.target)).await?;
    let live = rows.into_iter().filter_map(|mut row| (row.pop()?.as_deref() == Some("0")).then_some(row));
    keyed(pair, columns, live.collect())
}

fn keyed(pair: &Pair, columns: &[Column], rows: Vec<Vec<Option<String>>>) -> Result<Rows> {
    let place = |name: &String| columns.iter().position(|column| column.name == *name);
    let key: Option<Vec<_>> = pair.key.iter().map(place).collect();
    let key = key.with_context(|| format!("{} has not all key columns {:?}", pair.source, pair.key))?;
    let canonical = |row: Vec<Option<String>>| -> Vec<Option<String>> {
        row.into_iter().zip(columns).map(|(value, column)| Some(canonical(&column.kind, value?))).collect()
    };
    let keyed = |row: Vec<Option<String>>| {
        let row = canonical(row);
        (key.iter().map(|place| row[*place].clone().unwrap_or_default()).collect(), row)
    };
    Ok(rows.into_iter().map(keyed).collect())
}

fn differing(
    table: &str,
    key: &Key,
    columns: &[Column],
    expected: &[Option<String>],
    found: &[Option<String>],
) -> Vec<String> {
    let both = columns.iter().zip(expected.iter().zip(found));
    let differing = both.filter(|(_, (expected, found))| expected != found);
    let name = |(column, (expected, found)): (&Column, (&Option<String>, &Option<String>))| {
        format!("{table} {key:?} {}: {expected:?} in PostgreSQL, {found:?} in StarRocks", column.name)
    };
    differing.map(name).collect()
}

/// One spelling for both sides.
fn canonical(kind: &str, text: String) -> String {
    match kind {
        "boolean" => if matches!(text.as_str(), "t" | "true" | "1") { "true" } else { "false" }.to_owned(),
        "real" => text.parse::<f32>().map_or(text, |number| number.to_string()),
        "double precision" => text.parse::<f64>().map_or(text, |number| number.to_string()),
        "numeric" if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        "json" | "jsonb" => {
            serde_json::from_str::<serde_json::Value>(&text).map_or(text, |json| json.to_string())
        }
        kind if kind.starts_with("timestamp") => fraction(text.trim_end_matches("+00")),
        _ => text,
    }
}

fn fraction(time: &str) -> String {
    if time.contains('.') {
        time.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        time.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        let cases = [
            ("boolean", "t", "1"),
            ("timestamp without time zone", "2026-01-02 03:04:05.5", "2026-01-02 03:04:05.500000"),
            ("timestamp with time zone", "2026-01-02 03:04:05+00", "2026-01-02 03:04:05"),
            ("double precision", "1e+20", "100000000000000000000"),
            ("jsonb", "{\"a\": 1, \"b\": [true]}", "{\"b\":[true],\"a\":1}"),
        ];
        for (kind, one, other) in cases {
            assert_eq!(canonical(kind, one.into()), canonical(kind, other.into()), "{kind}");
        }
    }

    #[test]
    fn two_values_have_two_spellings() {
        for (kind, one, other) in [("text", "a ", "a"), ("boolean", "t", "f"), ("numeric", "1.10", "1.01")] {
            assert_ne!(canonical(kind, one.into()), canonical(kind, other.into()), "{kind}");
        }
    }
}
