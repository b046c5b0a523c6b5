//! What all bookkeeping tables have in common: text columns, the first of which is the key. Their rows are loaded like
//! any other row, so they need no privilege that the targets do not need.

use std::{sync::Arc, time::SystemTime};

use crate::{
    change::{Change, Old, Tuple, Value, write_value},
    config::Deletes,
    lsn::Lsn,
    pipeline::{Batch, batch::Accumulation},
    starrocks::sql::{Session, SqlError, lists, literal, quoted},
    table::{Column, Kind, Table, TableId, TableName},
};

/// The definition of a bookkeeping table.
pub(crate) fn own_table(name: &str, columns: Vec<Column>) -> Table {
    Table {
        id: TableId(u32::MAX),
        name: TableName { schema: "dbmazz".to_owned(), name: name.to_owned() },
        target: name.to_owned(),
        columns,
        key: vec![0],
        last_number: 0,
        facts: Default::default(),
    }
}

/// A column of at most `characters` characters.
pub(crate) fn short_text(name: &str, characters: u32) -> Column {
    Column::new(name, Kind::ShortText { characters }, "text")
}

/// A text column without a limit of its own.
pub(crate) fn text(name: &str) -> Column {
    Column::new(name, Kind::Text, "text")
}

/// Rows of a bookkeeping table, to be loaded.
#[derive(Debug)]
pub(crate) struct OwnRows {
    table: Arc<Table>,
    rows: Accumulation,
}

impl OwnRows {
    pub(crate) fn of(table: Table) -> Self {
        let table = Arc::new(table);
        Self { rows: Accumulation::new(Arc::clone(&table), Deletes::Soft), table }
    }

    /// Adds a row with these texts, one for each column; it replaces the row with the same key.
    pub(crate) fn put(&mut self, values: &[&str], version: Lsn) -> Option<()> {
        let row = row(values.iter().map(|value| Value::Text(value.as_bytes())));
        let new = Tuple::split(&row, self.table.columns.len()).ok()?.0;
        self.rows.push(Change::Insert { new }, version).ok()
    }

    /// Marks the row with this key as deleted.
    pub(crate) fn delete(&mut self, key: &str, version: Lsn) -> Option<()> {
        let others = self.table.columns.iter().skip(1).map(|_| Value::Null);
        let row = row(std::iter::once(Value::Text(key.as_bytes())).chain(others));
        let old = Old::Key(Tuple::split(&row, self.table.columns.len()).ok()?.0);
        self.rows.push(Change::Delete { old }, version).ok()
    }

    /// The rows as a batch; none when there is no row.
    pub(crate) fn batch(self, now: SystemTime) -> Option<Batch> {
        self.rows.close(now).pop()
    }
}

fn row<'a>(values: impl Iterator<Item = Value<'a>>) -> Vec<u8> {
    let mut row = Vec::new();
    values.for_each(|value| write_value(value, &mut row));
    row
}

/// Whether the database has the table. Runs `USE` for the database if it exists.
pub(crate) async fn is_there(
    session: &mut Session,
    database: &str,
    table: &str,
    doing: &'static str,
) -> Result<bool, SqlError> {
    let databases = session.run(&format!("SHOW DATABASES LIKE {}", literal(database)), doing).await?;
    if !lists(&databases, database) {
        return Ok(false);
    }
    session.run(&format!("USE {}", quoted(database)), doing).await?;
    let tables = session.run(&format!("SHOW TABLES LIKE {}", literal(table)), doing).await?;
    Ok(lists(&tables, table))
}
