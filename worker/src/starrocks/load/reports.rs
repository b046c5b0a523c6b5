//! What a load says of itself while it is tried.

use tracing::warn;

use crate::{
    fault::{Fault, Part},
    progress::{Owner, Progress},
    starrocks::load::{answer::Retryable, label::Label},
    table::Table,
};

/// The faults that one load has reported, so that it takes back its own and nobody else's.
#[derive(Debug)]
pub(crate) struct Reports<'a> {
    progress: &'a Progress,
    pub(crate) table: &'a Table,
    raised: Vec<Part>,
}

impl<'a> Reports<'a> {
    pub(crate) fn new(progress: &'a Progress, table: &'a Table) -> Self {
        Self { progress, table, raised: Vec::new() }
    }

    pub(crate) fn retryable(&mut self, retryable: &Retryable, label: &Label, attempt: u32) {
        self.progress.load_retried(&self.table.name);
        self.raise(retryable.fault(self.table), label.as_str(), attempt);
    }

    pub(crate) fn raise(&mut self, fault: Fault, label: &str, attempt: u32) {
        if !self.raised.contains(&fault.part) {
            self.raised.push(fault.part.clone());
        }
        let (reason, error) = (fault.reason, fault.message.clone());
        if self.progress.raise_of(self.owner(), fault) {
            warn!(table = %self.table.name, %label, attempt, %reason, %error, "load failed, retrying");
        }
    }

    /// Takes back what was reported; says whether anything was.
    pub(crate) fn take_back(&mut self) -> bool {
        let parts = std::mem::take(&mut self.raised);
        parts.iter().filter(|part| self.progress.clear_of(self.owner(), part)).count() > 0
    }

    fn owner(&self) -> Owner {
        Owner::Load(self.table.name.clone())
    }
}

impl Drop for Reports<'_> {
    // A load that halts or is given up leaves no report behind that nobody would take back.
    fn drop(&mut self) {
        self.take_back();
    }
}
