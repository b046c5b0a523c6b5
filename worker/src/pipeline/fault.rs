//! Faults that the pipeline itself detects.

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

/// The task that copies rows of the table has ended without a word.
pub(super) fn barrier_left(table: &Table) -> Fault {
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::InternalDefect,
        format!("the copy of {} ended with a panic of the worker", table.name),
        "report it with the worker's log, and restart the worker: it copies the table from where it was",
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

/// Ends a session with consistency Transaction. Nothing is lost: the transaction is read again from its beginning.
pub(super) fn cut_in_two() -> Fault {
    Fault::retry(
        Part::Source,
        Reason::SourceUnreachable,
        "the stream was interrupted within a transaction that is larger than the buffer",
        "wait: it is read again from its beginning; a larger worker.buffer makes that less likely",
    )
}

/// A task has panicked with consistency Transaction: the session ends.
pub(super) fn transaction_defect() -> Fault {
    let fix = "report it with the worker's log; the worker tries again by itself";
    Fault::retry(Part::Job, Reason::InternalDefect, "a load ended with a panic of the worker", fix)
}

pub(super) fn emptied_too_late(table: &Table) -> Fault {
    let name = &table.name;
    Fault::halt(
        Part::Table(name.clone()),
        Reason::BadConfiguration,
        format!(
            "a transaction that is larger than the buffer truncates {name} after writing to it, which cannot be \
             replicated in one transaction"
        ),
        "give worker.buffer room for the whole transaction, or set consistency to Row",
    )
}
