//! The rows that have an unresolved dead letter: in StarRocks they differ from the source.
//!
//! A change with only some columns of such a row would leave an incomplete row in StarRocks, so it becomes a dead letter
//! too. A change with the whole row, or its delete, corrects the row; then its dead letters are marked as deleted.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::row::{self, DEAD_LETTERS};
use crate::{
    config::SinkConfig,
    pipeline::{Batch, ColumnSet, Operation, Row},
    starrocks::sql::{Session, SqlError, literal, quoted},
    table::{Table, TableName},
};

/// The unresolved dead letters, by table and key.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters(Mutex<HashMap<String, IdsByKey>>);

/// Ids of the dead letters of each key of a table.
type IdsByKey = HashMap<String, Vec<String>>;

impl DeadLetters {
    /// Reads the unresolved dead letters of earlier sessions of the job.
    pub(crate) async fn find(config: &SinkConfig, job: &str) -> Result<Self, SqlError> {
        let mut session = Session::open(config).await?;
        let (database, table, job) = (quoted(&config.database), quoted(DEAD_LETTERS), literal(job));
        let select = format!(
            "SELECT `id`, `source_table`, `row_key` FROM {database}.{table} \
             WHERE `job` = {job} AND `dbmazz_is_deleted` = 0"
        );
        let found = session.run(&select, "read the dead letters").await;
        session.close().await;
        let dead_letters = Self::default();
        for row in found? {
            if let [Some(id), Some(table), Some(key)] = row.as_slice() {
                dead_letters.add(table, key, id.clone());
            }
        }
        Ok(dead_letters)
    }

    /// Adds the dead letter of a row.
    pub(crate) fn add(&self, table: &str, key: &str, id: String) {
        let mut dead_letters = self.lock();
        let ids = dead_letters.entry(table.to_owned()).or_default().entry(key.to_owned()).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }

    /// Whether any row of the table has a dead letter.
    pub(crate) fn concerns(&self, table: &TableName) -> bool {
        let dead_letters = self.lock();
        !dead_letters.is_empty()
            && dead_letters.get(&table.to_string()).is_some_and(|ids_by_key| !ids_by_key.is_empty())
    }

    /// Whether the batch has only some columns of a row that has a dead letter.
    pub(crate) fn is_partly_changed_by(&self, batch: &Batch) -> bool {
        let whole = *batch.columns() == ColumnSet::All;
        let dead_letters = self.lock();
        let Some(ids_by_key) = dead_letters.get(&batch.table().name.to_string()).filter(|_| !whole) else {
            return false;
        };
        let mut rows = batch.rows().filter(|row| row.operation != Operation::Delete);
        rows.any(|row| ids_by_key.contains_key(&row::key(batch.table(), row.values)))
    }

    /// Removes the dead letters of rows that a loaded batch has corrected; returns their ids, each with its row's version.
    pub(crate) fn resolve(&self, batch: &Batch) -> Vec<(String, crate::lsn::Lsn)> {
        let whole = *batch.columns() == ColumnSet::All;
        let mut dead_letters = self.lock();
        let Some(ids_by_key) = dead_letters.get_mut(&batch.table().name.to_string()) else {
            return Vec::new();
        };
        let corrects = |row: &Row<'_>| whole || row.operation == Operation::Delete;
        let resolved = batch.rows().filter(corrects).filter_map(|row| {
            let ids = ids_by_key.remove(&row::key(batch.table(), row.values))?;
            Some(ids.into_iter().map(move |id| (id, row.version)))
        });
        resolved.flatten().collect()
    }

    /// Removes the dead letters of a table that was emptied.
    pub(crate) fn forget(&self, table: &Table) {
        self.lock().remove(&table.name.to_string());
    }

    // A panic while the lock was held leaves the map consistent: a dead letter is in it or not.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, IdsByKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        change::Value,
        config::Deletes,
        starrocks::double::{deletes, inserts, table},
        table::Kind,
    };

    const NAME: &str = "public.t";

    fn batch(large: Value<'_>) -> Batch {
        let table = table(&[("id", Kind::Numeric), ("large", Kind::Text)]);
        inserts(&table, &[vec![Value::Text(b"7.0"), large]])
    }

    fn dead_letters() -> DeadLetters {
        let dead_letters = DeadLetters::default();
        dead_letters.add(NAME, "{\"id\":\"7\"}", "a letter".to_owned());
        dead_letters
    }

    #[test]
    fn a_part_of_a_row_with_a_dead_letter_is_not_loaded() {
        assert!(dead_letters().is_partly_changed_by(&batch(Value::Unchanged)));
        assert!(!dead_letters().is_partly_changed_by(&batch(Value::Null)), "the whole row is there");
        assert!(!DeadLetters::default().is_partly_changed_by(&batch(Value::Unchanged)));
    }

    #[test]
    fn a_whole_row_and_a_delete_make_it_right() {
        let table = table(&[("id", Kind::Numeric), ("large", Kind::Text)]);
        let delete = deletes(&table, Deletes::Soft, &[Value::Text(b"7"), Value::Null]);
        for (batch, resolved) in [(batch(Value::Null), 1), (delete, 1), (batch(Value::Unchanged), 0)] {
            let dead_letters = dead_letters();
            assert!(!dead_letters.is_partly_changed_by(&batch) || resolved == 0);
            assert_eq!(dead_letters.resolve(&batch).len(), resolved);
            assert_eq!(dead_letters.concerns(&table.name), resolved == 0);
        }
    }
}
