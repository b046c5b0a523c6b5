//! From changes to loads: batches per table, one load in flight per table, and the position that is safe.
//!
//! Knows neither end. What it needs of the sink is the trait [`Load`]; what it gives the source is the
//! durable position.

pub mod batch;
mod fault;
mod inputs;
mod lane;
mod ledger;
mod limits;
mod load_task;
mod load_timer;
mod positions;
mod publish;
mod run;
mod scheduler;
mod transaction;

pub use batch::{Batch, ColumnSet, Operation, Row};
pub use positions::TablePositions;
pub use run::Pipeline;

pub use self::{
    inputs::{Inputs, Settings},
    transaction::TransactionPipeline,
};
use crate::{change::Aim, fault::Fault, lsn::Lsn, table::Table};

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

/// What goes into the sink in one step, or a part of it.
#[derive(Debug)]
pub struct Part {
    /// One for each table, of whole rows.
    pub batches: Vec<Batch>,
    /// Everything before this is in the sink when the part is; none when more of the same step follows.
    pub reached: Option<Lsn>,
}

/// Brings the rows of all tables into the sink in one step: readers see everything of it, or nothing.
pub trait LoadTransaction: Send + Sync + 'static {
    /// Resolves when the part is taken, and with the last one when all of its step is durable, however long that
    /// takes. Gives what was loaded of each batch. With a fault, everything since the last step has to come again.
    fn load(&self, part: &Part) -> impl Future<Output = Result<Vec<Loaded>, Fault>> + Send;

    /// Resolves when the table is empty in the sink. No step is under way meanwhile.
    fn truncate(&self, table: &Table) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Resolves when the target has what the table's next rows need. No step is under way meanwhile.
    fn reshape(&self, aim: &Aim) -> impl Future<Output = Result<(), Fault>> + Send;

    /// No more of the step under way will come.
    fn abandon(&self) -> impl Future<Output = ()> + Send;
}
