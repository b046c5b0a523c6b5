//! Why a step failed, and the fault that reports it.

use std::collections::BTreeSet;

use crate::{
    fault::{Fault, Part},
    starrocks::load::answer::{LoadOutcome, RetryClass},
    table::{Table, TableName},
};

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The step may be tried again.
    Retryable(Fault, RetryClass),
    Halt(Fault),
}

pub(super) fn failed(outcome: LoadOutcome, table: &Table) -> Result<(), Failed> {
    match outcome {
        LoadOutcome::Committed => Ok(()),
        LoadOutcome::Refused(fault) | LoadOutcome::Halt(fault) => Err(Failed::Halt(fault)),
        LoadOutcome::Again(retryable) | LoadOutcome::Unclear(retryable) => {
            Err(Failed::Retryable(retryable.fault(table), retryable.retry_class))
        }
    }
}

/// The fault of the sink as a whole, not of one table.
pub(super) fn of_sink(fault: Fault) -> Fault {
    Fault { part: Part::Sink, ..fault }
}

/// The fault of refused rows. StarRocks does not say to which of the tables they belong.
pub(super) fn refused(fault: &Fault, tables: &BTreeSet<TableName>) -> Fault {
    let names: Vec<_> = tables.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    Fault::halt(
        match tables.first() {
            Some(table) if tables.len() == 1 => Part::Table(table.clone()),
            _ => Part::Sink,
        },
        fault.reason,
        format!("StarRocks refused rows of a transaction with changes of {names}"),
        "see that the target's columns can hold what the source's can, or set consistency to Row, which finds the row",
    )
}

pub(super) fn from_the_start(fault: &Fault) -> Fault {
    let message = format!(
        "a transaction larger than the buffer failed and is read again from its beginning: {}",
        fault.message
    );
    Fault::retry(Part::Sink, fault.reason, message, fault.fix.clone())
}
