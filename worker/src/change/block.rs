//! Events of a range of WAL, with the bytes that they point into.

use std::{ops::Range, time::SystemTime};

use bytes::Bytes;

use super::{BlockBuilder, Change, Event, Old, Reshape, Tuple};
use crate::{fault::Fault, lsn::Lsn, table::TableId};

/// Routed events of one range of WAL, in WAL order.
#[derive(Debug, Default)]
pub struct Block {
    pub(super) bytes: Bytes,
    /// Memory of the bytes, including unused capacity.
    pub(super) reserved: usize,
    pub(super) entries: Vec<Entry>,
    pub(super) faults: Vec<Fault>,
    pub(super) reshapes: Vec<Reshape>,
}

#[derive(Debug, Clone)]
pub(super) enum Entry {
    Begin { commit: Lsn, time: SystemTime, xid: u32 },
    Insert { table: TableId, new: Range<u32> },
    Update { table: TableId, old: OldEntry, new: Range<u32> },
    Delete { table: TableId, old: OldEntry },
    Truncate { table: TableId },
    Reshape { table: TableId, reshape: u32 },
    Commit { end: Lsn },
    Keepalive { lsn: Lsn },
    Halt { table: TableId, fault: u32 },
}

#[derive(Debug, Clone)]
pub(super) enum OldEntry {
    Absent,
    Key(Range<u32>),
    Full(Range<u32>),
}

impl Block {
    /// A builder for a block.
    pub fn builder() -> BlockBuilder {
        BlockBuilder::default()
    }

    /// All events, in WAL order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.entries.iter().filter_map(|entry| self.event(entry))
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes that rows point into; a large row can be kept by sharing them, without a copy.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Memory of the block, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.reserved + self.entries.capacity() * size_of::<Entry>()
    }

    fn event(&self, entry: &Entry) -> Option<Event<'_>> {
        Some(match entry {
            Entry::Begin { commit, time, xid } => Event::Begin { commit: *commit, time: *time, xid: *xid },
            Entry::Insert { table, new } => {
                Event::Change { table: *table, change: Change::Insert { new: self.tuple(new)? } }
            }
            Entry::Update { table, old, new } => Event::Change {
                table: *table,
                change: Change::Update { old: self.old(old), new: self.tuple(new)? },
            },
            Entry::Delete { table, old } => {
                Event::Change { table: *table, change: Change::Delete { old: self.old(old)? } }
            }
            Entry::Truncate { table } => Event::Truncate { table: *table },
            Entry::Reshape { table, reshape } => {
                Event::Reshape { table: *table, reshape: self.reshapes.get(*reshape as usize)? }
            }
            Entry::Commit { end } => Event::Commit { end: *end },
            Entry::Keepalive { lsn } => Event::Keepalive { lsn: *lsn },
            Entry::Halt { table, fault } => {
                Event::Halt { table: *table, fault: self.faults.get(*fault as usize)? }
            }
        })
    }

    fn old(&self, old: &OldEntry) -> Option<Old<'_>> {
        match old {
            OldEntry::Absent => None,
            OldEntry::Key(range) => self.tuple(range).map(Old::Key),
            OldEntry::Full(range) => self.tuple(range).map(Old::Full),
        }
    }

    fn tuple(&self, range: &Range<u32>) -> Option<Tuple<'_>> {
        self.bytes.get(range.start as usize..range.end as usize).map(Tuple::stored)
    }
}
