//! What the pipeline itself finds wrong with a table.

use crds::Reason;

use crate::{
    fault::{Fault, Part},
    table::Table,
};

/// It held up all others, and waits alone now.
pub(super) fn behind(table: &Table) -> Fault {
    let Table { name, target, .. } = table;
    Fault::retry(
        Part::Table(name.clone()),
        Reason::TableBehind,
        format!(
            "what is under way into {target} does not come to an end; the changes of {name} wait in the WAL of \
             PostgreSQL, and the other tables go on"
        ),
        format!(
            "see why StarRocks does not finish it (SHOW ALTER TABLE COLUMN, versions and replicas of the tablets of \
             {target}); the table catches up by itself then"
        ),
    )
}

/// A task of its load has panicked, so nobody knows what became of the load.
pub(super) fn defect(table: &Table) -> Fault {
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::InternalDefect,
        format!("a load of {} ended by a defect of the worker", table.name),
        "report it with the worker's log, and restart the worker: it reads the table's changes again from the WAL that \
         PostgreSQL keeps",
    )
}
