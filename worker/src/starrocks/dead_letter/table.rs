//! Rows whose letter stands: StarRocks does not have them as the source does.
//!
//! A change that carries a part of such a row only would make half a row of it in StarRocks, so it is
//! parked too; a change that carries the whole row, or deletes it, makes it right. Then its letters are
//! marked as deleted, as every row of the sink is that is no more.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::row::{self, LETTERS};
use crate::{
    config::SinkConfig,
    pipeline::{Batch, ColumnSet, Operation, Row},
    starrocks::sql::{Session, SqlError, literal, quoted},
    table::{Table, TableName},
};

/// The letters that stand, by table and key.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters(Mutex<HashMap<String, Letters>>);

/// Ids of the letters of each key of a table.
type Letters = HashMap<String, Vec<String>>;

impl DeadLetters {
    /// The letters that stand since earlier sessions of the job.
    pub(crate) async fn find(config: &SinkConfig, job: &str) -> Result<Self, SqlError> {
        let mut session = Session::open(config).await?;
        let (database, table, job) = (quoted(&config.database), quoted(LETTERS), literal(job));
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

    /// A row has a letter now.
    pub(crate) fn add(&self, table: &str, key: &str, id: String) {
        let mut dead_letters = self.lock();
        let ids = dead_letters.entry(table.to_owned()).or_default().entry(key.to_owned()).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }

    /// Whether any row of the table has a letter.
    pub(crate) fn concerns(&self, table: &TableName) -> bool {
        let dead_letters = self.lock();
        !dead_letters.is_empty()
            && dead_letters.get(&table.to_string()).is_some_and(|letters| !letters.is_empty())
    }

    /// Whether the batch would make half a row of one that has a letter.
    pub(crate) fn is_halved_by(&self, batch: &Batch) -> bool {
        let whole = *batch.columns() == ColumnSet::All;
        let dead_letters = self.lock();
        let Some(letters) = dead_letters.get(&batch.table().name.to_string()).filter(|_| !whole) else {
            return false;
        };
        let mut rows = batch.rows().filter(|row| row.operation != Operation::Delete);
        rows.any(|row| letters.contains_key(&row::key(batch.table(), row.values)))
    }

    /// Takes out the letters of rows that a loaded batch has made right; gives them, each with its row's version.
    pub(crate) fn heal(&self, batch: &Batch) -> Vec<(String, crate::lsn::Lsn)> {
        let whole = *batch.columns() == ColumnSet::All;
        let mut dead_letters = self.lock();
        let Some(letters) = dead_letters.get_mut(&batch.table().name.to_string()) else { return Vec::new() };
        let rights = |row: &Row<'_>| whole || row.operation == Operation::Delete;
        let healed = batch.rows().filter(rights).filter_map(|row| {
            let ids = letters.remove(&row::key(batch.table(), row.values))?;
            Some(ids.into_iter().map(move |id| (id, row.version)))
        });
        healed.flatten().collect()
    }

    /// A table that is emptied has no row that is not right.
    pub(crate) fn forget(&self, table: &Table) {
        self.lock().remove(&table.name.to_string());
    }

    // A thread that panicked while it noted a letter has noted it or not.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Letters>> {
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
    fn a_part_of_a_parked_row_makes_half_a_row() {
        assert!(dead_letters().is_halved_by(&batch(Value::Unchanged)));
        assert!(!dead_letters().is_halved_by(&batch(Value::Null)), "the whole row is there");
        assert!(!DeadLetters::default().is_halved_by(&batch(Value::Unchanged)));
    }

    #[test]
    fn a_whole_row_and_a_delete_make_it_right() {
        let table = table(&[("id", Kind::Numeric), ("large", Kind::Text)]);
        let delete = deletes(&table, Deletes::Soft, &[Value::Text(b"7"), Value::Null]);
        for (batch, healed) in [(batch(Value::Null), 1), (delete, 1), (batch(Value::Unchanged), 0)] {
            let dead_letters = dead_letters();
            assert!(!dead_letters.is_halved_by(&batch) || healed == 0);
            assert_eq!(dead_letters.heal(&batch).len(), healed);
            assert_eq!(dead_letters.concerns(&table.name), healed == 0);
        }
    }
}
