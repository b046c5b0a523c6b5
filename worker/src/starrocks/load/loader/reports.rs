//! The faults of a load, reported to `Progress` while it is retried.

use tracing::warn;

use crate::{
    fault::{Fault, Part},
    progress::{Owner, Progress},
    starrocks::load::{answer::Retryable, label::Label},
    table::Table,
};

/// The parts for which one load has raised a fault, so that it clears only its own.
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

    /// Clears the faults that were raised; returns whether there were any.
    pub(crate) fn take_back(&mut self) -> bool {
        let parts = std::mem::take(&mut self.raised);
        parts.iter().filter(|part| self.progress.clear_of(self.owner(), part)).count() > 0
    }

    fn owner(&self) -> Owner {
        Owner::Load(self.table.name.clone())
    }
}

impl Drop for Reports<'_> {
    // A load that halts or is dropped must not leave a fault behind, because nothing else would clear it.
    fn drop(&mut self) {
        self.take_back();
    }
}
