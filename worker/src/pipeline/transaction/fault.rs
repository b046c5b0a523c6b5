//! Faults that end a session with consistency Transaction.

use crate::{
    fault::{Fault, Part},
    table::Table,
};

/// Nothing is lost: the transaction is read again from its beginning.
pub(super) fn cut_in_two() -> Fault {
    Fault::retry(
        Part::Source,
        crds::Reason::SourceUnreachable,
        "the stream was interrupted within a transaction that is larger than the buffer",
        "wait: it is read again from its beginning; a larger worker.buffer makes that less likely",
    )
}

pub(super) fn defect() -> Fault {
    let fix = "report it with the worker's log; the worker tries again by itself";
    Fault::retry(Part::Job, crds::Reason::InternalDefect, "a load ended with a panic of the worker", fix)
}

pub(super) fn emptied_too_late(table: &Table) -> Fault {
    let name = &table.name;
    Fault::halt(
        Part::Table(name.clone()),
        crds::Reason::BadConfiguration,
        format!(
            "a transaction that is larger than the buffer truncates {name} after writing to it, which cannot be \
             replicated in one transaction"
        ),
        "give worker.buffer room for the whole transaction, or set consistency to Row",
    )
}
