//! From blocks of changes to loads: batches per table, at most one load in flight per table, and the durable position.
//!
//! Depends on neither end. It loads through the trait [`Load`] (or [`LoadTransaction`]), and publishes the durable
//! position to the source.

mod barrier;
pub mod batch;
mod fault;
mod inputs;
mod lane;
mod ledger;
mod load_task;
mod positions;
mod run;
mod scheduler;
mod transaction;

use std::sync::Arc;

use tokio::sync::mpsc;

pub use barrier::{AskBarrier, AtBarrier, Copies, Mark, Routed};
pub use batch::{Batch, ColumnSet, Operation, Row, Rows};
pub use positions::TablePositions;
pub use run::Pipeline;

pub use self::{
    inputs::{Inputs, Settings},
    transaction::TransactionPipeline,
};
use crate::{change::Aim, fault::Fault, lsn::Lsn, schema_history::CopyState, table::Table};

/// Loads batches into the sink.
pub trait Load: Send + Sync + 'static {
    /// Resolves when every row of the batch is durable in the sink, however long that takes, or with a `Halt` when it
    /// never can be. The implementation retries and reports transient faults.
    fn load(&self, batch: &Batch) -> impl Future<Output = Result<Loaded, Fault>> + Send;

    /// Whether batches of the table can be loaded in bulk now.
    fn takes_bulk(&self, _table: &Table) -> bool {
        false
    }

    /// Loads the rows that are received in few versions, in requests of about `room` bytes. When it resolves, no load is
    /// in flight. A fault is one that passes: the rows have to be read again, and some of them may be durable.
    fn load_bulk(
        &self,
        _table: &Arc<Table>,
        _room: usize,
        _pieces: mpsc::Receiver<Piece>,
    ) -> impl Future<Output = Result<Bulk, Fault>> + Send {
        std::future::ready(Ok(Bulk::Singly))
    }

    /// Resolves when the target has the columns of `aim`, or with a `Halt` when it never can. No other task of the
    /// table is in flight.
    fn reshape(&self, aim: &Aim) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Resolves when the table is empty in the sink. No other task of the table is in flight.
    fn truncate(&self, table: &Table) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// What a bulk load receives.
#[derive(Debug)]
pub enum Piece {
    /// Whole rows. No key is in two pieces.
    Rows(Batch),
    /// There are no more. Without it nothing is loaded that is not yet durable.
    End,
}

/// How a bulk load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bulk {
    /// Every row is durable.
    Durable(Loaded),
    /// There was no `End`.
    GivenUp,
    /// The sink does not take these rows in bulk: they are to be read again, and loaded batch by batch.
    Singly,
}

/// Records how far the copy of a table's existing rows has come, for the next worker.
pub trait RecordCopy: Send + Sync + 'static {
    /// Resolves when the state is durable. The caller stands at a barrier of the table.
    fn record_copy(&self, table: &Table, state: &CopyState)
    -> impl Future<Output = Result<(), Fault>> + Send;

    /// As `record_copy`: the target has every row of the source.
    fn record_whole(&self, table: &Table) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The keys of some rows of the target that may not be rows of the source; none when there are no more. The caller
    /// stands at a barrier of the table.
    fn doubtful(
        &self,
        table: &Arc<Table>,
        doubt: Doubt,
    ) -> impl Future<Output = Result<Option<Batch>, Fault>> + Send;
}

/// Which rows of a target may not be rows of the source: those without a version, and those whose version is out of
/// these bounds. Rows that are marked as deleted are not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    pub below: Lsn,
    pub above: Lsn,
}

/// The size of a durable batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    pub rows: u64,
    /// Bytes of the request body.
    pub bytes: u64,
}

/// The rows of one StarRocks transaction (a step), or a part of them.
#[derive(Debug)]
pub struct Part {
    /// One for each table, of whole rows.
    pub batches: Vec<Batch>,
    /// Everything before this position is in the sink when the part is; `None` when more of the same step follows.
    pub reached: Option<Lsn>,
}

/// Loads the rows of all tables in one transaction (a step): readers of the sink see all of a step or nothing.
pub trait LoadTransaction: Send + Sync + 'static {
    /// Resolves when the part is accepted; the last part when its whole step is durable, however long that takes.
    /// Returns the size of each batch. After a fault, everything since the last step has to be read again.
    fn load(&self, part: &Part) -> impl Future<Output = Result<Vec<Loaded>, Fault>> + Send;

    /// Resolves when the table is empty in the sink. No step is in flight.
    fn truncate(&self, table: &Table) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Resolves when the target has the columns of `aim`. No step is in flight.
    fn reshape(&self, aim: &Aim) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Rolls back an open step: no more parts of it will come.
    fn abandon(&self) -> impl Future<Output = ()> + Send;
}
