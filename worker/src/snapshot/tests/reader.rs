//! The source as the copies see it: the simulated server.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    catalogue::ID,
    heap::{Datum, Version},
    transactions::{Lock, Snapshot},
    world::World,
};
use crate::{
    change::{Tuple, Value, write_value},
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::{Batch, Operation, batch::key},
    postgres::{
        copy::Sight,
        visibility::{Earlier, Visibility},
    },
    schema_history::Blocks,
    snapshot::{
        gathering::Gathering,
        source::{Beginning, ReadRows, Source},
    },
    table::{Column, Fill, Table, TableName},
};

const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

impl Source for World {
    type Session = Session;

    fn session(&self) -> Session {
        Session { world: self.clone(), open: None }
    }
}

#[derive(Debug)]
pub(super) struct Session {
    world: World,
    /// The transaction that is open, by its number among readers.
    open: Option<(u64, Snapshot)>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

impl Session {
    /// Waits for the lock of the table, as `lock_timeout` allows.
    async fn lock(&self) -> Result<(), Fault> {
        let until = Instant::now() + LOCK_TIMEOUT;
        while self.world.ends().server.is_locked() {
            if Instant::now() >= until {
                return Err(Fault::retry(Part::Source, crds::Reason::SourceUnreachable, "locked", "wait"));
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn end_of_wal(&self) -> Lsn {
        self.world.ends().server.end()
    }
}

impl ReadRows for Session {
    async fn begin(&mut self, _: &Table) -> Result<Beginning, Fault> {
        self.world.read().await;
        let seen = self.world.ends().server.transactions.snapshot().visibility();
        self.world.read().await;
        let writers = self.world.ends().server.transactions.holders(Lock::Write);
        let writers: Vec<_> = writers.into_iter().map(|xid| xid as u32).collect();
        self.world.read().await;
        Ok(Beginning { earlier: Earlier::among(&seen, &writers), end: self.end_of_wal() })
    }

    async fn sizes(&mut self, _: &Table) -> Result<BTreeMap<u32, u32>, Fault> {
        self.world.read().await;
        Ok(self.world.ends().server.sizes())
    }

    async fn visibility(&mut self) -> Result<Visibility, Fault> {
        self.world.read().await;
        Ok(self.world.ends().server.transactions.snapshot().visibility())
    }

    async fn enter(&mut self, _: &TableName, _: Option<u32>) -> Result<Sight, Fault> {
        self.end();
        self.world.read().await;
        self.lock().await?;
        let (reader, snapshot) = self.world.ends().server.open_reader();
        self.open = Some((reader, snapshot.clone()));
        self.world.read().await;
        let table = self.world.ends().server.described(&snapshot);
        Ok(Sight::of(snapshot.visibility(), self.end_of_wal(), table))
    }

    async fn leave(&mut self) -> Result<(), Fault> {
        self.end();
        Ok(())
    }

    async fn copy(
        &mut self,
        sight: Sight,
        columns: Vec<String>,
        blocks: Blocks,
        mut rows: Gathering,
    ) -> Result<bool, Fault> {
        self.world.read().await;
        let (_, snapshot) = self.open.clone().unwrap();
        let file = sight.table.facts.files[&blocks.leaf];
        let is_in = |block: u32| block >= blocks.from && blocks.to.is_none_or(|to| block < to);
        let found: Vec<Version> = {
            let ends = self.world.ends();
            let rows = ends.server.rows(&snapshot, file).filter(|(block, _)| is_in(*block));
            rows.map(|(_, row)| row.clone()).collect()
        };
        for row in found {
            if !rows.pass(Tuple::stored(&selected(&sight.table, &columns, &row))).await {
                return Ok(false);
            }
        }
        let all = rows.pass_rest().await;
        self.end();
        Ok(all)
    }

    async fn published_by_key(&mut self, _: Sight, wanted: Batch, mut rows: Gathering) -> Result<(), Fault> {
        self.world.read().await;
        let (_, snapshot) = self.open.clone().unwrap();
        let table = wanted.table();
        for row in self.found(&wanted, &snapshot) {
            if !rows.pass(Tuple::stored(&row)).await {
                return Err(stopped(table));
            }
        }
        let all = rows.pass_rest().await;
        self.end();
        if all { Ok(()) } else { Err(stopped(table)) }
    }

    async fn rows_by_key(&mut self, changes: Batch, mut rows: Gathering) -> Result<(), Fault> {
        self.world.read().await;
        self.lock().await?;
        let now = self.world.ends().server.transactions.snapshot();
        for row in self.found(&changes, &now) {
            let _ = rows.pass(Tuple::stored(&row)).await;
        }
        rows.pass_rest().await;
        Ok(())
    }

    fn end(&mut self) {
        if let Some((reader, _)) = self.open.take() {
            self.world.ends().server.close_reader(reader);
        }
    }
}

impl Session {
    /// The rows of these keys, without deletes, as the snapshot shows them, with the columns of the batch.
    fn found(&self, changes: &Batch, snapshot: &Snapshot) -> Vec<Vec<u8>> {
        let table = changes.table();
        let lacking = changes.rows().filter(|row| row.operation != Operation::Delete);
        let keys: Vec<_> =
            lacking.flat_map(|row| key(table, row.values).map(text).collect::<Vec<_>>()).collect();
        let (now, rows) = self.world.ends().server.all_rows(snapshot);
        let wanted = rows.into_iter().filter(|row| keys.contains(&row.values[&ID]));
        let row = |version: Version| {
            row_of(table.columns.iter().map(|column| by_number(&now, column.number, &version)))
        };
        wanted.map(row).collect()
    }
}

fn stopped(table: &Table) -> Fault {
    Fault::retry(Part::Table(table.name.clone()), crds::Reason::InternalDefect, "stopped", "nothing")
}

fn text(value: Value<'_>) -> Datum {
    match value {
        Value::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
        Value::Null | Value::Unchanged => None,
    }
}

/// The values of the expressions that the chunk selects: names of columns, or NULL.
fn selected(table: &Table, expressions: &[String], row: &Version) -> Vec<u8> {
    let named = |name: &str| table.columns.iter().find(|column| format!("\"{}\"", column.name) == name);
    row_of(expressions.iter().map(|name| named(name).and_then(|column| stored(column, row))))
}

fn by_number(table: &Table, number: i32, row: &Version) -> Datum {
    let column = table.columns.iter().find(|column| column.number == number)?;
    stored(column, row)
}

/// The value of a column: a row that is older than the column has its default.
pub(super) fn stored(column: &Column, row: &Version) -> Datum {
    row.values.get(&column.number).cloned().unwrap_or_else(|| match &column.fill {
        Fill::Value(value) => Some(value.clone()),
        Fill::Null | Fill::Unknown => None,
    })
}

pub(super) fn row_of(values: impl Iterator<Item = Datum>) -> Vec<u8> {
    let mut row = Vec::new();
    for value in values {
        write_value(value.as_deref().map_or(Value::Null, |text| Value::Text(text.as_bytes())), &mut row);
    }
    row
}
