//! What happened to rows: the changes of a stretch of WAL, as slices of the bytes they came in.
//!
//! A [`Block`] crosses from the reader's thread to the pipeline. It holds the bytes of one or more
//! reads and, for each thing that happened in them, an entry that points into the bytes: nothing is
//! copied or allocated for a row.

use std::{ops::Range, sync::Arc, time::SystemTime};

use crate::{
    fault::Fault,
    history::Shape,
    lsn::Lsn,
    table::{Table, TableId},
};

/// Routed events of one stretch of WAL, in WAL order.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    faults: Vec<Fault>,
    reshapes: Vec<Reshape>,
}

/// One thing that happened, with its values borrowed from the block.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A transaction begins; all its changes carry its commit position.
    Begin {
        commit: Lsn,
        time: SystemTime,
    },
    Change {
        table: TableId,
        change: Change<'a>,
    },
    /// Every row of the table is gone.
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
    /// The table cannot be followed beyond this point.
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
    /// What the target must have before it takes them, when that is not known to be so.
    pub target: Option<Arc<Aim>>,
}

/// What a target has to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aim {
    /// The table as the source has it now.
    pub table: Table,
    /// The shapes of its rows that were seen.
    pub shapes: Vec<Shape>,
}

/// What happened to one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change<'a> {
    Insert { new: Tuple<'a> },
    Update { old: Option<Old<'a>>, new: Tuple<'a> },
    Delete { old: Old<'a> },
}

/// The row before the change, as far as the source sends it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Old<'a> {
    /// Only the key columns mean anything; the others are sent as null whatever they were.
    Key(Tuple<'a>),
    /// Every column.
    Full(Tuple<'a>),
}

/// A checked row: for each column a byte that tells its kind, and for text a length and the bytes.
///
/// The form is that of pgoutput, so a row is stored as it came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuple<'a>(&'a [u8]);

/// One column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    /// A large value that the change left as it was, and that the source therefore does not send.
    Unchanged,
    Text(&'a [u8]),
}

impl<'a> Tuple<'a> {
    /// Reads a row of `columns` columns from the front of `bytes`; gives it and what follows.
    pub fn split(bytes: &'a [u8], columns: usize) -> Result<(Self, &'a [u8]), MalformedTuple> {
        let mut rest = bytes;
        for _ in 0..columns {
            rest = split_value(rest).ok_or(MalformedTuple)?.1;
        }
        Ok((Self(&bytes[..bytes.len() - rest.len()]), rest))
    }

    /// A row that was checked before it was stored.
    pub(crate) fn stored(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The values, in the table's column order.
    pub fn values(self) -> Values<'a> {
        Values(self.0)
    }

    /// The row in the form it has in a block.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The values of a [`Tuple`].
#[derive(Debug, Clone)]
pub struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (value, rest) = split_value(self.0)?;
        self.0 = rest;
        Some(value)
    }
}

fn split_value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    match kind {
        b'n' => Some((Value::Null, rest)),
        b'u' => Some((Value::Unchanged, rest)),
        b't' => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            Some((Value::Text(text), rest))
        }
        _ => None,
    }
}

/// Appends one value in the form that [`Tuple`] reads.
pub fn write_value(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Unchanged => out.push(b'u'),
        Value::Text(text) => {
            out.push(b't');
            // A value came in a frame whose length is 31 bits, so it fits.
            out.extend_from_slice(&(text.len() as u32).to_be_bytes());
            out.extend_from_slice(text);
        }
    }
}

/// The bytes are not a row of so many columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row is shorter than its columns, or holds a kind of value that was not asked for")]
pub struct MalformedTuple;

#[derive(Debug, Clone)]
enum Entry {
    Begin { commit: Lsn, time: SystemTime },
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
enum OldEntry {
    Absent,
    Key(Range<u32>),
    Full(Range<u32>),
}

impl Block {
    /// A block over bytes that were read; entries follow by [`BlockBuilder`].
    pub fn builder() -> BlockBuilder {
        BlockBuilder::default()
    }

    /// Everything that happened, in WAL order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.entries.iter().filter_map(|entry| self.event(entry))
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Memory that the block holds.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn event(&self, entry: &Entry) -> Option<Event<'_>> {
        Some(match entry {
            Entry::Begin { commit, time } => Event::Begin { commit: *commit, time: *time },
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
        self.bytes.get(range.start as usize..range.end as usize).map(Tuple)
    }
}

/// Fills a [`Block`]: bytes are appended as they are read, events as they are routed.
///
/// Rows are named by their place in the bytes, so that the bytes may grow meanwhile.
#[derive(Debug, Default)]
pub struct BlockBuilder {
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
    pub fn with_capacity(bytes: usize) -> Self {
        Self { block: Block { bytes: Vec::with_capacity(bytes), ..Block::default() } }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.block.bytes
    }

    /// For reading from the socket right into the block. What is already there must stay.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.block.bytes
    }

    pub fn begin(&mut self, commit: Lsn, time: SystemTime) {
        self.block.entries.push(Entry::Begin { commit, time });
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
        self.block
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

    fn row(values: &[Value<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| write_value(*value, &mut bytes));
        bytes
    }

    #[test]
    fn a_row_reads_as_it_was_written() {
        let values = [Value::Text(b"7"), Value::Null, Value::Unchanged, Value::Text(b"")];
        let bytes = row(&values);
        let (tuple, rest) = Tuple::split(&bytes, 4).unwrap();
        assert_eq!(tuple.values().collect::<Vec<_>>(), values);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_short_row_is_an_error_and_reserves_nothing() {
        let long = [b't', 0xFF, 0xFF, 0xFF, 0xFF, b'x'];
        for bytes in [&long[..], b"", b"t", b"b\0\0\0\0"] {
            assert_eq!(Tuple::split(bytes, 1), Err(MalformedTuple));
        }
    }

    #[test]
    fn events_come_back_in_the_order_they_were_put_in() {
        let mut builder = Block::builder();
        let bytes = row(&[Value::Text(b"1")]);
        builder.bytes_mut().extend_from_slice(&bytes);
        builder.begin(Lsn(5), SystemTime::UNIX_EPOCH);
        builder.insert(TableId(0), 0..bytes.len() as u32);
        builder.commit(Lsn(9));
        let block = builder.finish();
        let new = Tuple::split(&bytes, 1).unwrap().0;
        let expected = [
            Event::Begin { commit: Lsn(5), time: SystemTime::UNIX_EPOCH },
            Event::Change { table: TableId(0), change: Change::Insert { new } },
            Event::Commit { end: Lsn(9) },
        ];
        assert_eq!(block.events().collect::<Vec<_>>(), expected);
    }
}
