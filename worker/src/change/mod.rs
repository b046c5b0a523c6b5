//! Changes of rows in a range of WAL, as slices of the bytes in which they came.
//!
//! A [`Block`] is passed from the reader's thread to the pipeline. It holds the bytes of one or more reads and an entry
//! per event that points into the bytes: nothing is copied or allocated per row.

mod block;
mod builder;
mod channel;
mod tuple;

use std::{sync::Arc, time::SystemTime};

pub use self::{
    block::Block,
    builder::{BlockBuilder, OldPlace, Place},
    channel::{ChannelSender, ReceivedBlock, Refused, Room, channel},
    tuple::{MalformedTuple, Tuple, TupleValues, Value, write_value},
};
use crate::{
    fault::Fault,
    lsn::Lsn,
    schema_history::Shape,
    table::{Table, TableId},
};

/// One event, with its values borrowed from the block.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A transaction begins; all its changes carry its commit position.
    Begin {
        commit: Lsn,
        time: SystemTime,
        /// The low 32 bits of the transaction's number at the source.
        xid: u32,
    },
    Change {
        table: TableId,
        change: Change<'a>,
    },
    /// The table was truncated.
    Truncate {
        table: TableId,
    },
    /// From here on the rows of the table have other columns.
    Reshape {
        table: TableId,
        reshape: &'a Reshape,
    },
    /// The transaction is complete; `end` is the position after its commit record.
    Commit {
        end: Lsn,
    },
    /// Everything before this position has been sent.
    Keepalive {
        lsn: Lsn,
    },
    /// The table cannot be replicated beyond this point.
    Halt {
        table: TableId,
        fault: &'a Fault,
    },
}

/// The columns of a table's rows from one point of the stream on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reshape {
    /// The table as its next rows have it.
    pub rows: Arc<Table>,
    /// The columns that the target must get before these rows are loaded; `None` when it has them.
    pub target: Option<Arc<Aim>>,
}

/// The columns that a target has to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aim {
    /// The table as the source has it now.
    pub table: Table,
    /// The shapes of its rows that were seen.
    pub shapes: Vec<Shape>,
}

/// A change of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change<'a> {
    Insert { new: Tuple<'a> },
    Update { old: Option<Old<'a>>, new: Tuple<'a> },
    Delete { old: Old<'a> },
}

/// The row before the change, as far as the source sends it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Old<'a> {
    /// Only the key columns are valid; the others are sent as null whatever they were.
    Key(Tuple<'a>),
    /// Every column.
    Full(Tuple<'a>),
}
