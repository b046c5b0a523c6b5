//! Why a step came to nothing, and what is said of it.

use std::collections::BTreeSet;

use crate::{
    fault::{Fault, Part},
    starrocks::load::answer::{LoadOutcome, RetryClass},
    table::{Table, TableName},
};

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(super) enum Failed {
    /// It may be tried again.
    Retryable(Fault, RetryClass),
    Halt(Fault),
}

pub(super) fn failed(verdict: LoadOutcome, table: &Table) -> Result<(), Failed> {
    match verdict {
        LoadOutcome::Committed => Ok(()),
        LoadOutcome::Refused(fault) | LoadOutcome::Halt(fault) => Err(Failed::Halt(fault)),
        LoadOutcome::Again(retryable) | LoadOutcome::Unclear(retryable) => {
            Err(Failed::Retryable(retryable.fault(table), retryable.retry_class))
        }
    }
}

/// What concerns no table of the job.
pub(super) fn of_sink(fault: Fault) -> Fault {
    Fault { part: Part::Sink, ..fault }
}

/// Which table it was, StarRocks does not say.
pub(super) fn refused(fault: &Fault, tables: &BTreeSet<TableName>) -> Fault {
    let names: Vec<_> = tables.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    Fault::halt(
        match tables.first() {
            Some(table) if tables.len() == 1 => Part::Table(table.clone()),
            _ => Part::Sink,
        },
        fault.reason,
        format!("StarRocks refused rows of a step that holds changes of {names}"),
        "see that the target's columns can hold what the source's can, or set consistency to Row, which finds the row",
    )
}

pub(super) fn from_the_start(fault: &Fault) -> Fault {
    let message = format!("a step that is larger than the buffer has to come again: {}", fault.message);
    Fault::retry(Part::Sink, fault.reason, message, fault.fix.clone())
}
