//! Faults of the replication, with messages and remedies for people.

mod anew;
mod statement;

use std::fmt;

use crds::Reason;

pub use self::{
    anew::{send_again, take_all_anew, take_anew, take_anew_by_name},
    statement::{drop_column, drop_target, forget, send_whole},
};
use crate::table::TableName;

/// One fault: its part, reason, message and remedy. It never contains row values or credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub part: Part,
    pub reason: Reason,
    pub course: Course,
    /// What is wrong, and where: one sentence, lower case, no full stop.
    pub message: String,
    /// What a person can do: one sentence, lower case, no full stop.
    pub fix: String,
}

/// Which part of the job the fault is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Job,
    Source,
    Sink,
    Table(TableName),
}

/// What the worker does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Retries by itself, with back-off, without limit.
    Retry,
    /// Stops that part until a person acts. Nothing is dropped: PostgreSQL keeps the WAL.
    Halt,
}

impl Fault {
    /// A fault that is retried.
    pub fn retry(part: Part, reason: Reason, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { part, reason, course: Course::Retry, message: message.into(), fix: fix.into() }
    }

    /// A fault that a person has to resolve.
    pub fn halt(part: Part, reason: Reason, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { part, reason, course: Course::Halt, message: message.into(), fix: fix.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; remedy: {}", self.reason, self.message, self.fix)
    }
}

impl std::error::Error for Fault {}
