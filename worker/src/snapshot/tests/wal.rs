//! The WAL of the simulated server, as logical decoding reads it: whole transactions in the order of their commits.

use std::sync::Arc;

use super::{
    heap::{Datum, Values},
    server::Xid,
};
use crate::{lsn::Lsn, table::Table};

/// One change of a transaction.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Where it was written.
    pub(super) lsn: Lsn,
    /// The transaction or sub-transaction that wrote it.
    pub(super) xid: Xid,
    /// The table as the transaction saw it.
    pub(super) shape: Arc<Table>,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Insert(Values),
    /// The key before, if it is another one; the row; and whether its large value is sent.
    Update(Option<Datum>, Values, bool),
    Delete(Datum),
    Truncate,
}

/// A transaction whose commit is in the WAL.
#[derive(Debug, Clone)]
pub(super) struct Committed {
    pub(super) xid: Xid,
    pub(super) commit: Lsn,
    pub(super) end: Lsn,
    pub(super) records: Vec<Record>,
}
