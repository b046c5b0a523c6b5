//! Retryable obstacles to a load, and the faults that report them.

use crds::Reason;

use crate::{
    backoff::Backoff,
    fault::{Fault, Part},
    table::Table,
};

/// An obstacle that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retryable {
    pub(crate) retry_class: RetryClass,
    /// The cause, without row values.
    pub(crate) message: String,
}

/// Classes of obstacles, by how long they usually last and who can remove them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryClass {
    Unreachable,
    /// StarRocks is out of capacity.
    Busy,
    Authentication,
    Permission,
    /// An answer that this version does not know.
    Strange,
}

impl RetryClass {
    pub(crate) fn backoff(self) -> Backoff {
        match self {
            Self::Unreachable | Self::Strange => Backoff::USUAL,
            Self::Busy => Backoff::BUSY,
            Self::Authentication | Self::Permission => Backoff::PERSON,
        }
    }
}

impl Retryable {
    pub(crate) fn new(retry_class: RetryClass, message: impl Into<String>) -> Self {
        Self { retry_class, message: message.into() }
    }

    /// The fault to report while it lasts.
    pub(crate) fn fault(&self, table: &Table) -> Fault {
        let of_table = || Part::Table(table.name.clone());
        let (part, reason, fix) = match self.retry_class {
            RetryClass::Unreachable => (
                Part::Sink,
                Reason::SinkUnreachable,
                "see that StarRocks runs and can be reached from the worker, its backends too",
            ),
            RetryClass::Busy => (
                of_table(),
                Reason::SinkBusy,
                "wait; if it lasts, give StarRocks more capacity or enlarge batch.minInterval",
            ),
            RetryClass::Authentication => (
                Part::Sink,
                Reason::SinkAuthenticationFailed,
                "give the job the right user and password, or mend them in StarRocks",
            ),
            RetryClass::Permission => {
                (of_table(), Reason::SinkPermissionDenied, "grant the user INSERT on the target table")
            }
            RetryClass::Strange => (
                of_table(),
                Reason::SinkProtocolViolation,
                "look into the logs of StarRocks; the load is tried again meanwhile",
            ),
        };
        Fault::retry(part, reason, &self.message, fix)
    }
}
