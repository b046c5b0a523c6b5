//! PostgreSQL's side: the columns of a table, its rows in key order, and single rows by key. Blocking.

use std::ops::ControlFlow;

use tokio::sync::mpsc;

use super::{
    fault,
    form::{Elements, Side},
    key::Key,
    plan::{Plan, SourceColumn, SourceTable, is_own},
    rows::{CHUNK, Chunk, Row},
};
use crate::{
    config::SourceConfig,
    fault::Fault,
    postgres::{
        query::{self, ReadOnlySession},
        sql,
    },
    table::TableName,
};

/// Publications have column lists and row filters from PostgreSQL 15 on.
const LISTS_SINCE: u32 = 150_000;
const GENERATED_SINCE: u32 = 180_000;
/// Keys per query.
const KEYS: usize = 100;

/// The table as the publication shows it; `None` when it does not exist.
pub(super) fn describe(config: &SourceConfig, name: &TableName) -> Result<Option<SourceTable>, Fault> {
    let mut reading = ReadOnlySession::open(config)?;
    let regclass = format!("pg_catalog.to_regclass({})", sql::literal(&sql::table(name)));
    let found = reading.rows(&format!(
        "SELECT relkind, pg_catalog.current_setting('server_version_num') \
         FROM pg_catalog.pg_class WHERE oid = {regclass}"
    ))?;
    let Some(found) = found.first() else { return Ok(None) };
    let only = found.text(0) != "p";
    let version = found.text(1).parse().unwrap_or(0);
    let (listed, filter) = published(&mut reading, config, name, version)?;
    let columns = reading.rows(&COLUMNS.replace("$table", &regclass))?;
    let columns = columns.iter().map(column);
    let is_sent = |column: &SourceColumn| {
        // PostgreSQL 15 lists generated columns as published, and does not send them.
        let is_published = match &listed {
            Some(listed) => {
                listed.contains(&column.name) && (!column.generated || version >= GENERATED_SINCE)
            }
            None => !column.generated,
        };
        !is_own(&column.name) && is_published
    };
    Ok(Some(SourceTable { columns: columns.filter(is_sent).collect(), only, filter }))
}

/// Resolves domains to their base types, also those of an array's elements. An array is a type that its element type
/// names as its array type: `int2vector` has elements too, and is written without braces.
const COLUMNS: &str = "
WITH RECURSIVE base (number, type) AS (
  SELECT attnum, atttypid FROM pg_catalog.pg_attribute
  WHERE attrelid = $table AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT b.number, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'),
element (number, type, delimiter) AS (
  SELECT b.number, e.oid, e.typdelim FROM base b
  JOIN pg_catalog.pg_type t ON t.oid = b.type JOIN pg_catalog.pg_type e ON e.typarray = t.oid
  UNION ALL
  SELECT x.number, d.typbasetype, x.delimiter FROM element x
  JOIN pg_catalog.pg_type d ON d.oid = x.type WHERE d.typtype = 'd')
SELECT a.attname, t.typname, a.attgenerated <> '', e.typname, x.delimiter
FROM base b
JOIN pg_catalog.pg_attribute a ON a.attrelid = $table AND a.attnum = b.number
JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
LEFT JOIN (element x JOIN pg_catalog.pg_type e ON e.oid = x.type AND e.typtype <> 'd') ON x.number = b.number
ORDER BY b.number";

fn column(row: &query::Row) -> SourceColumn {
    let elements = |name: &str| Elements {
        type_name: name.to_owned(),
        delimiter: row.text(4).chars().next().unwrap_or(','),
    };
    SourceColumn {
        name: row.text(0).to_owned(),
        type_name: row.text(1).to_owned(),
        generated: row.flag(2),
        array: row.value(3).map(elements),
    }
}

type Published = (Option<Vec<String>>, Option<String>);

/// The publication's column list and row filter for a table, where the server's version supports them.
fn published(
    reading: &mut ReadOnlySession,
    config: &SourceConfig,
    name: &TableName,
    version: u32,
) -> Result<Published, Fault> {
    if version < LISTS_SINCE {
        return Ok((None, None));
    }
    let [publication, schema, table] =
        [&config.publication, &name.schema, &name.name].map(|text| sql::literal(text));
    let rows = reading.rows(&format!(
        "SELECT pg_catalog.to_json(attnames), rowfilter FROM pg_catalog.pg_publication_tables \
         WHERE pubname = {publication} AND schemaname = {schema} AND tablename = {table}"
    ))?;
    let Some(row) = rows.first() else { return Ok((None, None)) };
    let listed = row.value(0).and_then(|list| serde_json::from_str(list).ok());
    Ok((listed, row.value(1).map(str::to_owned)))
}

/// Sends every row, in key order, and a fault at the end if there is one.
pub(super) fn stream(config: &SourceConfig, plan: &Plan, rows: &mpsc::Sender<Chunk>) {
    if let Err(fault) = try_stream(config, plan, rows) {
        // The receiver may have been dropped.
        let _ = rows.blocking_send(Err(fault));
    }
}

fn try_stream(config: &SourceConfig, plan: &Plan, rows: &mpsc::Sender<Chunk>) -> Result<(), Fault> {
    let (mut chunk, mut unreadable) = (Vec::with_capacity(CHUNK), false);
    ReadOnlySession::open(config)?.each_row(&plan.source_scan(), |row| {
        match read(plan, &row) {
            Some(row) => chunk.push(row),
            None => unreadable = true,
        }
        let gone = chunk.len() == CHUNK && rows.blocking_send(Ok(std::mem::take(&mut chunk))).is_err();
        if gone || unreadable { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if unreadable {
        return Err(fault::key(plan, "PostgreSQL"));
    }
    let _ = rows.blocking_send(Ok(chunk));
    Ok(())
}

/// The rows with one of these keys.
pub(super) fn look(config: &SourceConfig, plan: &Plan, keys: &[Key]) -> Result<Vec<Row>, Fault> {
    let mut found = Vec::new();
    for keys in keys.chunks(KEYS) {
        let question = plan.source_look(&keys.iter().collect::<Vec<_>>());
        // One by one: a row may exceed the limit of a buffered answer, and a hundred of them may exceed the memory.
        ReadOnlySession::open(config)?.each_row(&question, |row| {
            found.extend(read(plan, &row));
            ControlFlow::Continue(())
        })?;
    }
    Ok(found)
}

fn read(plan: &Plan, row: &query::Row) -> Option<Row> {
    let count = plan.key.len() + plan.values.len();
    let values: Vec<_> = (0..count).map(|column| row.value(column).map(str::as_bytes)).collect();
    Row::read(plan, Side::Source, &values)
}
