//! The schema histories of the job's tables, stored in `dbmazz_tables`.
//!
//! They are written by a load like any other row, so under the slot lease and before the first load that relies on them.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use crds::Reason;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    config::SinkConfig,
    fault::{Fault, Part, drop_target},
    lsn::Lsn,
    pipeline::Batch,
    schema_history::SchemaHistory,
    starrocks::{
        bookkeeping::own_table::{OwnRows, is_there, own_table, short_text, text},
        sql::{Session, SqlError, literal, quoted},
    },
    table::Table,
};

/// The table of schema histories, in the target database.
pub(crate) const HISTORIES: &str = "dbmazz_tables";

/// The schema histories of a job, by the name of the target.
pub type SchemaHistories = HashMap<String, SchemaHistory>;

/// Every schema history of the job, in a session of its own; none where the database or the table does not exist.
pub async fn known(config: &SinkConfig, job: &str) -> Result<SchemaHistories, Fault> {
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let found = kept(&mut session, config, job).await;
    session.close().await;
    found
}

/// Every schema history of the job; none where the database or the table does not exist.
pub(crate) async fn kept(
    session: &mut Session,
    config: &SinkConfig,
    job: &str,
) -> Result<SchemaHistories, Fault> {
    let there = is_there(session, &config.database, HISTORIES, "look for the histories of the tables").await;
    if there.map_err(|error| error.fault())? {
        return find(session, config, job).await;
    }
    Ok(SchemaHistories::new())
}

/// Every schema history of the job. The table must exist.
pub(crate) async fn find(
    session: &mut Session,
    config: &SinkConfig,
    job: &str,
) -> Result<SchemaHistories, Fault> {
    let (database, table, job) = (quoted(&config.database), quoted(HISTORIES), literal(job));
    let select = format!("SELECT `target`, `history` FROM {database}.{table} WHERE `job` = {job}");
    let rows = session.run(&select, "read the histories of the tables").await;
    let rows = rows.map_err(|error| error.of_reading(HISTORIES))?;
    rows.into_iter().map(|row| entry(&row)).collect()
}

/// The stored history of the target, if there is one.
pub(crate) async fn kept_of(
    config: &SinkConfig,
    job: &str,
    table: &Table,
) -> Result<Option<SchemaHistory>, Fault> {
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let found = find(&mut session, config, job).await;
    session.close().await;
    Ok(found?.remove(&table.target))
}

/// The histories that all jobs store for these targets: job, target and history. Unreadable rows are skipped, because
/// the job that they belong to reports them.
pub(crate) async fn of_targets(
    session: &mut Session,
    config: &SinkConfig,
    targets: &[&str],
) -> Result<Vec<(String, String, SchemaHistory)>, SqlError> {
    let (database, table) = (quoted(&config.database), quoted(HISTORIES));
    let targets: Vec<_> = targets.iter().map(|target| literal(target)).collect();
    let select = format!(
        "SELECT `target`, `history`, `job` FROM {database}.{table} WHERE `target` IN ({})",
        targets.join(", ")
    );
    let rows = session.run(&select, "read which jobs load into the tables").await?;
    let kept = |row: Vec<Option<String>>| {
        let (target, history) = entry(&row).ok()?;
        Some((row.into_iter().nth(2).flatten()?, target, history))
    };
    Ok(rows.into_iter().filter_map(kept).collect())
}

pub(crate) fn entry(row: &[Option<String>]) -> Result<(String, SchemaHistory), Fault> {
    let text = |place: usize| row.get(place).and_then(Option::as_deref).unwrap_or_default();
    let history = serde_json::from_str(text(1)).map_err(|_| illegible(text(0)))?;
    Ok((text(0).to_owned(), history))
}

/// The row as a batch. It contains the time of writing, so that no two writes give the same load.
pub(crate) fn batch(job: &str, target: &str, history: &SchemaHistory, now: SystemTime) -> Option<Batch> {
    batch_of(job, &[(target.to_owned(), history.clone())], now)
}

/// Several rows in one batch: all of them are stored, or none.
pub(crate) fn batch_of(job: &str, histories: &[(String, SchemaHistory)], now: SystemTime) -> Option<Batch> {
    let moment = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
    let mut rows = OwnRows::of(table());
    for (target, history) in histories {
        let id = format!("{:016x}{:016x}", xxh3_64(job.as_bytes()), xxh3_64(target.as_bytes()));
        let history = serde_json::to_string(history).ok()?;
        rows.put(&[&id, job, target, &history, &moment], Lsn(0))?;
    }
    rows.batch(now)
}

/// The definition of the table of schema histories.
pub(crate) fn table() -> Table {
    own_table(
        HISTORIES,
        vec![
            short_text("id", 32),
            short_text("job", 512),
            short_text("target", 1024),
            text("history"),
            short_text("moment", 32),
        ],
    )
}

fn illegible(target: &str) -> Fault {
    Fault::retry(
        Part::Sink,
        Reason::TargetIncompatible,
        format!("the row of {target} in {HISTORIES} was not written by a worker, or was altered since"),
        format!(
            "put back the row as it was, or take the table anew: in StarRocks run {}; when the job has made the target \
             again, let every row of the source be sent again (UPDATE … SET key = key under REPLICA IDENTITY FULL)",
            drop_target(target)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{change::Value, schema_history::TargetColumn, starrocks::double, table::Kind};

    #[test]
    fn a_history_is_one_row_and_is_read_as_it_was_written() {
        let table = double::table(&[("id", Kind::BigInt), ("größe", Kind::Text)]);
        let history = SchemaHistory::beginning(&table, vec![TargetColumn::new(1, "id", "BIGINT")]);
        let batch = batch("shop/orders", "t", &history, SystemTime::UNIX_EPOCH).unwrap();
        let values: Vec<_> = batch.rows().next().unwrap().values.values().collect();
        let [_, _, Value::Text(target), Value::Text(text), _] = values.as_slice() else {
            panic!("{values:?}")
        };
        let row = [target, text].map(|text| Some(String::from_utf8(text.to_vec()).unwrap()));
        assert_eq!(entry(&row), Ok(("t".to_owned(), history)));
        assert_eq!(batch.row_count(), 1);
    }

    #[test]
    fn what_is_no_history_is_a_fault() {
        for text in ["", "{}", "[]"] {
            assert!(entry(&["t", text].map(|text| Some(text.to_owned()))).is_err(), "{text}");
        }
    }
}
