//! A table: its definition, its rows, and how a load changes them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Column, Row, encode_key};
use crate::{convert, outcome::Manner, value::Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    PrimaryKeys,
    DuplicateKeys,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) id: u64,
    pub(crate) spec: TableSpec,
    pub(crate) rows: BTreeMap<Box<[u8]>, Row>,
    /// Changes with TRUNCATE: the rows of a load that was planned before it are dropped (§12.6).
    pub(crate) epoch: u64,
    /// Increases with each load that becomes visible.
    pub(crate) version: u64,
    uncompacted: u64,
    compacted_millis: i64,
    pub(crate) schema_version: u64,
    pub(crate) created_millis: i64,
    /// The id of the next column. Ids are never reused, so that a load planned before DROP and ADD does not fill the
    /// new column.
    pub(super) next_column: u32,
    /// In a table without a primary key: the number of the next row.
    next_row: u64,
}

/// The definition in CREATE TABLE.
#[derive(Debug, Clone)]
pub(crate) struct TableSpec {
    pub(crate) model: Model,
    pub(crate) columns: Arc<Vec<Column>>,
    /// The columns of `DISTRIBUTED BY HASH`, as written.
    pub(crate) hash_columns: Vec<String>,
    pub(crate) buckets: Option<u32>,
    /// The columns of `ORDER BY`, as written.
    pub(crate) sort_columns: Vec<String>,
    pub(crate) comment: String,
    pub(crate) properties: BTreeMap<String, String>,
}

/// One row of a load, in order of arrival.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) is_delete: bool,
    pub(crate) values: Vec<Value>,
}

impl Table {
    pub(crate) fn new(id: u64, spec: TableSpec, created_millis: i64) -> Self {
        let next_column = spec.columns.iter().map(|column| column.id).max().unwrap_or(0) + 1;
        let rows = BTreeMap::new();
        Self {
            id,
            spec,
            rows,
            epoch: 0,
            version: 1,
            uncompacted: 1,
            compacted_millis: created_millis,
            schema_version: 0,
            created_millis,
            next_column,
            next_row: 0,
        }
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.spec.columns
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns().iter().find(|column| column.is_named(name))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Column> {
        self.columns().iter().filter(|column| column.is_key)
    }

    /// A copy of the table without rows, on which a change is tried first.
    pub(crate) fn without_rows(&self) -> Self {
        Self { spec: self.spec.clone(), rows: BTreeMap::new(), ..*self }
    }

    pub(crate) fn truncate(&mut self) {
        self.rows.clear();
        self.epoch += 1;
    }

    /// The column that a new row would leave without a value if rows bring only the `carried` columns (§10).
    pub(crate) fn column_without_value(&self, carried: &[Column]) -> Option<&Column> {
        let is_carried = |column: &Column| carried.iter().any(|other| other.id == column.id);
        self.columns().iter().find(|column| !is_carried(column) && column.value_when_absent(0).is_none())
    }

    /// Whether the table has a row with the key of this change.
    pub(crate) fn holds(&self, planned: &[Column], change: &Change) -> bool {
        encode_key(planned, &change.values).is_ok_and(|key| self.rows.contains_key(&key))
    }

    /// Applies the changes of a load in their order; `planned` names the columns that each change carries.
    pub(crate) fn apply(
        &mut self,
        planned: &[Column],
        changes: Vec<Change>,
        manner: Manner,
        now_millis: i64,
    ) {
        let columns = Arc::clone(&self.spec.columns);
        let places: HashMap<u32, usize> =
            planned.iter().enumerate().map(|(place, c)| (c.id, place)).collect();
        let sources: Vec<Option<usize>> =
            columns.iter().map(|column| places.get(&column.id).copied()).collect();
        let absent = |column: &Column| column.value_when_absent(now_millis).unwrap_or(Value::Null);
        let absent: Vec<Value> = columns.iter().map(absent).collect();
        let condition = manner.condition.and_then(|id| {
            let stored = columns.iter().position(|column| column.id == id)?;
            Some((stored, *places.get(&id)?))
        });
        for Change { is_delete, mut values } in changes {
            let Some(key) = self.key_of(planned, &values) else { continue };
            if is_delete {
                self.rows.remove(&key);
                continue;
            }
            if let Some((stored, brought)) = condition
                && self.rows.get(&key).is_some_and(|row| is_newer(row.get(stored), values.get(brought)))
            {
                continue;
            }
            let old = if manner.is_partial { self.rows.remove(&key) } else { None };
            let mut row = old.map_or_else(|| absent.clone(), Vec::from);
            for ((slot, source), column) in row.iter_mut().zip(&sources).zip(columns.iter()) {
                let Some(place) = *source else { continue };
                if let (Some(value), Some(planned)) = (values.get_mut(place), planned.get(place)) {
                    let value = std::mem::replace(value, Value::Null);
                    *slot = if planned.sql_type == column.sql_type {
                        value
                    } else {
                        convert::again(&value, column)
                    };
                }
            }
            self.rows.insert(key, row.into_boxed_slice());
        }
    }

    /// Counts one more version, in every tablet alike, for a load that has become visible.
    pub(crate) fn count_version(&mut self) {
        self.version += 1;
        self.uncompacted += 1;
    }

    /// The number of versions that compaction has not merged yet; it runs every `every_millis` (§14).
    pub(crate) fn versions(&mut self, every_millis: u64, now_millis: i64) -> u64 {
        let every = i64::try_from(every_millis).unwrap_or(i64::MAX).max(1);
        let rounds = (now_millis - self.compacted_millis) / every;
        if rounds > 0 {
            self.compacted_millis += rounds * every;
            self.uncompacted = 1;
        }
        self.uncompacted
    }

    fn key_of(&mut self, planned: &[Column], values: &[Value]) -> Option<Box<[u8]>> {
        match self.spec.model {
            Model::PrimaryKeys => encode_key(planned, values).ok(),
            Model::DuplicateKeys => {
                self.next_row += 1;
                Some(Box::new(self.next_row.to_be_bytes()))
            }
        }
    }
}

/// Whether a stored value wins over an incoming one; an equal value does not (§9.4).
fn is_newer(stored: Option<&Value>, brought: Option<&Value>) -> bool {
    match (stored, brought) {
        (Some(stored), Some(brought)) => stored.sort_order(brought).is_gt(),
        _ => false,
    }
}
