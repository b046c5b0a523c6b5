//! The states of a transaction.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum State {
    Prepare,
    /// In the transaction interface: all data has arrived, and the commit is awaited.
    Prepared,
    Committed,
    Visible,
    Aborted,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prepare => "PREPARE",
            Self::Prepared => "PREPARED",
            Self::Committed => "COMMITTED",
            Self::Visible => "VISIBLE",
            Self::Aborted => "ABORTED",
        }
    }

    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::Prepare | Self::Prepared)
    }

    /// The value of `ExistingJobStatus` for a label in this state; empty when the label is free.
    pub(crate) fn existing_job(self) -> &'static str {
        match self {
            Self::Prepare | Self::Prepared => "RUNNING",
            Self::Committed | Self::Visible => "FINISHED",
            Self::Aborted => "",
        }
    }

    pub(super) fn is_finished(self) -> bool {
        matches!(self, Self::Visible | Self::Aborted)
    }
}
