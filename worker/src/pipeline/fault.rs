//! Faults of a table that the pipeline itself detects.

use std::time::Duration;

use crds::Reason;

use crate::{
    fault::{Fault, Part},
    table::Table,
};

/// The table's task has not ended within `limit` and its changes filled the buffer; they are read again later.
pub(super) fn behind(table: &Table, limit: Duration) -> Fault {
    let Table { name, target, .. } = table;
    Fault::retry(
        Part::Table(name.clone()),
        Reason::TableBehind,
        format!(
            "the load, truncate or change of columns of {target} has not finished within {} s; changes of {name} stay \
             in PostgreSQL's WAL, other tables continue",
            limit.as_secs()
        ),
        format!(
            "see why StarRocks does not finish it (SHOW ALTER TABLE COLUMN, versions and replicas of the tablets of \
             {target}); the table catches up by itself then"
        ),
    )
}

/// A task of the table has panicked, so the outcome of its load is unknown.
pub(super) fn defect(table: &Table) -> Fault {
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::InternalDefect,
        format!("a load of {} ended with a panic of the worker", table.name),
        "report it with the worker's log, and restart the worker: it reads the table's changes again from the WAL that \
         PostgreSQL keeps",
    )
}
