//! Changes of one table bound for one request: at most one row per key, the last change winning.
//!
//! Rows are kept in the form they came in, so a batch costs little more than the WAL it stands for. A
//! row that lacks values (an unchanged large value, or all but the key of a deleted row) takes them
//! from an earlier change of the same key when there is one, and otherwise goes into a batch of its
//! own column set: such a value is never written as NULL.

mod fold;
mod store;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

pub use self::fold::{Deletes, IncompleteKeyChange};
use self::store::Store;
use crate::{change::Tuple, lsn::Lsn, table::Table};

/// What a row means for the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Insert,
    Update,
    Delete,
}

/// Which columns a row carries: all of them, or those whose place is marked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnSet {
    All,
    Some(Box<[bool]>),
}

impl ColumnSet {
    pub fn contains(&self, column: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(marks) => marks.get(column).copied().unwrap_or(false),
        }
    }
}

/// One row of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub operation: Operation,
    /// The commit position of the row's transaction.
    pub version: Lsn,
    /// One value per column of the table; columns outside the batch's set mean nothing.
    pub values: Tuple<'a>,
}

/// Where a batch begins and ends in the stream, and what it holds: equal for equal content only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Commit position of the first and the last transaction in it.
    pub first: Lsn,
    pub last: Lsn,
    /// A digest of the rows, operations, versions and columns.
    pub digest: u64,
}
