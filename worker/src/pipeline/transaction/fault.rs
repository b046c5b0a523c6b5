//! What stops a job whose tables are loaded in one step.

use crate::{
    fault::{Fault, Part},
    table::Table,
};

/// Nothing is lost: it is read again from its beginning.
pub(super) fn cut_in_two() -> Fault {
    Fault::retry(
        Part::Source,
        crds::Reason::SourceUnreachable,
        "the stream was cut within a transaction that is larger than the buffer",
        "wait: it is read again from its beginning; a larger worker.buffer makes that less likely",
    )
}

pub(super) fn defect() -> Fault {
    let fix = "report it with the worker's log; the worker tries again by itself";
    Fault::retry(Part::Job, crds::Reason::InternalDefect, "a load ended by a defect", fix)
}

pub(super) fn emptied_too_late(table: &Table) -> Fault {
    let name = &table.name;
    Fault::halt(
        Part::Table(name.clone()),
        crds::Reason::BadConfiguration,
        format!(
            "a transaction that is larger than the buffer truncates {name} after it has written to it, which cannot be \
             followed in one step"
        ),
        "give worker.buffer room for the whole transaction, or set consistency to Row",
    )
}
