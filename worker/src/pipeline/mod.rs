//! From changes to loads: batches per table, one load in flight per table, and the position that is safe.
//!
//! Knows neither end. What it needs of the sink is the trait [`Load`]; what it gives the source is the
//! durable position.

pub mod batch;
mod lane;
mod ledger;
mod run;

use crate::{change::Aim, fault::Fault, table::Table};

pub use batch::{Batch, ColumnSet, Operation, Row};
pub use run::{Pipeline, Settings};

/// Brings batches into the sink.
pub trait Load: Send + Sync + 'static {
    /// Resolves when every row of the batch is durable in the sink, however long that takes, or with a
    /// `Halt` when it can never be. Faults that pass are retried and reported inside.
    fn load(&self, batch: &Batch) -> impl Future<Output = Result<Loaded, Fault>> + Send;

    /// Resolves when the sink takes the rows of the table that it aims at, or with a `Halt` when it never will.
    /// Nothing of the table is under way meanwhile.
    fn reshape(&self, aim: &Aim) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Resolves when the table is empty in the sink. Nothing of the table is under way meanwhile.
    fn truncate(&self, table: &Table) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// A batch that is durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    pub rows: u64,
    /// Bytes of the body that the sink took.
    pub bytes: u64,
}
