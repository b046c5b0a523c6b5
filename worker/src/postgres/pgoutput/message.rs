//! The messages of `pgoutput`. Rows are places in the message's body.

use std::{ops::Range, time::SystemTime};

use crate::lsn::Lsn;

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `commit` is the position of the commit record that ends this transaction.
    Begin {
        commit: Lsn,
        time: SystemTime,
        /// The low 32 bits of the transaction's number.
        xid: u32,
    },
    /// `end` is the position after the commit record.
    Commit {
        end: Lsn,
    },
    Relation(Box<Relation>),
    /// A type that is not built in, by name; for a domain the name of its base type.
    Type(Box<TypeName>),
    Insert {
        relation: u32,
        new: Row,
    },
    Update {
        relation: u32,
        old: Option<OldRow>,
        new: Row,
    },
    Delete {
        relation: u32,
        old: OldRow,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// An origin or a logical message, which changes no row.
    Aside,
}

/// The announcement of a table's shape; it holds until the next for the same `oid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub columns: Vec<RelationColumn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    /// Part of the replica identity; under `FULL` every column is.
    pub identity: bool,
    pub name: String,
    pub type_oid: u32,
    pub typmod: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    pub oid: u32,
    pub schema: String,
    pub name: String,
}

/// A row: the place of its values in the message, and their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub columns: usize,
    pub place: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldRow {
    Key(Row),
    Full(Row),
}
