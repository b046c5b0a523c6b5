//! Builds blocks.

use std::{ops::Range, time::SystemTime};

use super::{
    Reshape,
    block::{Block, Entry, OldEntry},
};
use crate::{fault::Fault, lsn::Lsn, table::TableId};

/// Fills a [`Block`]: bytes are appended as they are read, events as they are routed.
///
/// Rows are referred to by their place in the bytes, so that the bytes may be reallocated meanwhile.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    bytes: Vec<u8>,
    block: Block,
}

/// The place of a row in a block's bytes.
pub type Place = Range<u32>;

/// The place of the row before the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldPlace {
    Key(Place),
    Full(Place),
}

impl BlockBuilder {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// For reading from the socket directly into the block. Existing bytes must not change.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub fn begin(&mut self, commit: Lsn, time: SystemTime, xid: u32) {
        self.block.entries.push(Entry::Begin { commit, time, xid });
    }

    pub fn insert(&mut self, table: TableId, new: Place) {
        self.block.entries.push(Entry::Insert { table, new });
    }

    pub fn update(&mut self, table: TableId, old: Option<OldPlace>, new: Place) {
        let old = old.map_or(OldEntry::Absent, OldEntry::from);
        self.block.entries.push(Entry::Update { table, old, new });
    }

    pub fn delete(&mut self, table: TableId, old: OldPlace) {
        self.block.entries.push(Entry::Delete { table, old: old.into() });
    }

    pub fn truncate(&mut self, table: TableId) {
        self.block.entries.push(Entry::Truncate { table });
    }

    pub fn reshape(&mut self, table: TableId, reshape: Reshape) {
        self.block.entries.push(Entry::Reshape { table, reshape: self.block.reshapes.len() as u32 });
        self.block.reshapes.push(reshape);
    }

    pub fn commit(&mut self, end: Lsn) {
        self.block.entries.push(Entry::Commit { end });
    }

    pub fn keepalive(&mut self, lsn: Lsn) {
        self.block.entries.push(Entry::Keepalive { lsn });
    }

    pub fn halt(&mut self, table: TableId, fault: Fault) {
        self.block.entries.push(Entry::Halt { table, fault: self.block.faults.len() as u32 });
        self.block.faults.push(fault);
    }

    pub fn is_empty(&self) -> bool {
        self.block.entries.is_empty()
    }

    pub fn finish(self) -> Block {
        let reserved = self.bytes.capacity();
        Block { bytes: self.bytes.into(), reserved, ..self.block }
    }
}

impl From<OldPlace> for OldEntry {
    fn from(old: OldPlace) -> Self {
        match old {
            OldPlace::Key(place) => Self::Key(place),
            OldPlace::Full(place) => Self::Full(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, Event, Tuple, Value, write_value};

    #[test]
    fn events_come_back_in_the_order_they_were_put_in() {
        let mut builder = Block::builder();
        let mut bytes = Vec::new();
        write_value(Value::Text(b"1"), &mut bytes);
        builder.bytes_mut().extend_from_slice(&bytes);
        builder.begin(Lsn(5), SystemTime::UNIX_EPOCH, 7);
        builder.insert(TableId(0), 0..bytes.len() as u32);
        builder.commit(Lsn(9));
        let block = builder.finish();
        let new = Tuple::split(&bytes, 1).unwrap().0;
        let expected = [
            Event::Begin { commit: Lsn(5), time: SystemTime::UNIX_EPOCH, xid: 7 },
            Event::Change { table: TableId(0), change: Change::Insert { new } },
            Event::Commit { end: Lsn(9) },
        ];
        assert_eq!(block.events().collect::<Vec<_>>(), expected);
    }
}
