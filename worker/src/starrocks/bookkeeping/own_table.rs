//! What the worker's own tables have in common: columns of text, the first of which is the key, and rows that are
//! loaded like any other, so that they need no privilege that the targets do not need.

use std::{sync::Arc, time::SystemTime};

use crate::{
    change::{Change, Old, Tuple, Value, write_value},
    config::Deletes,
    lsn::Lsn,
    pipeline::{Batch, batch::Accumulation},
    starrocks::sql::{Session, SqlError, literal, quoted},
    table::{Column, Kind, Table, TableId, TableName},
};

/// A table in the target database beside the targets, in the form of every other.
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

/// A column of at most so many characters.
pub(crate) fn short_text(name: &str, characters: u32) -> Column {
    Column::new(name, Kind::ShortText { characters }, "text")
}

/// A column of any text.
pub(crate) fn text(name: &str) -> Column {
    Column::new(name, Kind::Text, "text")
}

/// Rows of a table of the worker's own, to be loaded.
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

    /// Puts a row of these texts, one for each column, in the place of the one with its key.
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

    /// None when there is no row.
    pub(crate) fn batch(self, now: SystemTime) -> Option<Batch> {
        self.rows.close(now).pop()
    }
}

fn row<'a>(values: impl Iterator<Item = Value<'a>>) -> Vec<u8> {
    let mut row = Vec::new();
    values.for_each(|value| write_value(value, &mut row));
    row
}

/// Whether the database has the table. The session is in the database then.
pub(crate) async fn is_there(
    session: &mut Session,
    database: &str,
    table: &str,
    doing: &'static str,
) -> Result<bool, SqlError> {
    let databases = session.run(&format!("SHOW DATABASES LIKE {}", literal(database)), doing).await?;
    if databases.is_empty() {
        return Ok(false);
    }
    session.run(&format!("USE {}", quoted(database)), doing).await?;
    let tables = session.run(&format!("SHOW TABLES LIKE {}", literal(table)), doing).await?;
    Ok(!tables.is_empty())
}
