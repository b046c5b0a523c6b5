//! Faults of one target.

use crds::Reason;

use crate::{
    fault::{Fault, Part},
    starrocks::sql::SqlError,
    table::Table,
};

pub(super) fn incompatible(table: &Table, message: String, fix: &str) -> Fault {
    Fault::halt(Part::Table(table.name.clone()), Reason::TargetIncompatible, message, fix)
}

/// A refused statement is the fault of this table only.
pub(super) fn of_table(error: &SqlError, table: &Table) -> Fault {
    let fault = error.fault();
    let message = format!("{} (table {})", fault.message, table.name);
    match error {
        SqlError::Refused { .. } => {
            Fault::halt(Part::Table(table.name.clone()), fault.reason, message, fault.fix)
        }
        _ => Fault { message, ..fault },
    }
}
