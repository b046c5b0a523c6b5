//! Stores the rows of a batch: segments of bytes, a short record per row, and an index by key.

use std::borrow::Cow;

use bytes::Bytes;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::{ColumnSet, Operation, Row};
use crate::{
    change::{Tuple, Value},
    lsn::Lsn,
    table::Table,
};

/// Bytes of the largest segment. Stored rows do not move, so a large batch never needs twice its memory to grow.
const SEGMENT: usize = 1 << SEGMENT_BITS;
const SEGMENT_BITS: u32 = 18;
/// Segments grow slowly with the batch: a table with few changes holds little, and tables with equal load need their
/// next segment at the same time. There are few sizes, so that freed segments of one batch fit the next.
const SIZES: [usize; 3] = [4 << 10, 32 << 10, SEGMENT];
const LEAST_OF_A_SIZE: usize = 8;

/// Rows from this size on are kept in the bytes of their block, and not copied.
const LARGE: usize = 1 << 20;

#[derive(Debug)]
enum Segment {
    /// Copied rows, one after the other.
    Many(Vec<u8>),
    /// One large row, if possible as a part of the bytes of its block.
    Alone(Bytes),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Many(bytes) => bytes,
            Self::Alone(bytes) => bytes,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Store {
    segments: Vec<Segment>,
    rows: Vec<Stored>,
    /// Places in `rows` of the live row of each key.
    index: HashTable<u32>,
    /// Bytes of all segments.
    reserved: usize,
    /// The block of the rows that are added next, if it can contain a large row.
    block: Bytes,
    sets: Vec<ColumnSet>,
}

/// The record of one stored row; small (24 bytes), because there is one per row.
#[derive(Debug, Clone, Copy)]
struct Stored {
    version: Lsn,
    /// The segment (upper bits) and the offset in it (lower `SEGMENT_BITS`).
    address: u32,
    length: u32,
    set: u16,
    operation: Operation,
    live: bool,
    /// Hash of the key, so that a growing index does not read the rows again.
    hash: u32,
}

const _: () = assert!(size_of::<Stored>() == 24);

impl Store {
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Memory of the store, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.reserved + self.rows.capacity() * size_of::<Stored>() + self.index.allocation_size()
    }

    pub(super) fn sets(&self) -> &[ColumnSet] {
        &self.sets
    }

    /// The live row with the key of `values`, and its columns.
    pub(super) fn find(&self, table: &Table, values: Tuple<'_>) -> Option<(Row<'_>, &ColumnSet)> {
        let hash = key_hash(table, values);
        let is_it = |stored: &Stored| {
            stored.hash == hash && self.tuple(stored).is_some_and(|stored| same_key(table, stored, values))
        };
        let place = self.index.find(spread(hash), |place| is_it(&self.rows[*place as usize]))?;
        let stored = &self.rows[*place as usize];
        Some((self.row(stored)?, self.sets.get(usize::from(stored.set))?))
    }

    /// Declares the block of the rows that are added next.
    pub(super) fn enter(&mut self, block: &Bytes) {
        if block.len() >= LARGE {
            self.block = block.clone();
        }
    }

    /// Drops the reference to the block.
    pub(super) fn leave_block(&mut self) {
        self.block = Bytes::new();
    }

    /// Stores a row as the live row of its key; supersedes an earlier one.
    pub(super) fn put(
        &mut self,
        table: &Table,
        (operation, version): (Operation, Lsn),
        values: Cow<'_, [u8]>,
        set: ColumnSet,
    ) {
        let set = self.set_id(set);
        let hash = key_hash(table, Tuple::stored(&values));
        let place = self.rows.len() as u32;
        self.point_at(table, Tuple::stored(&values), hash, place);
        let (address, length) = self.append(values);
        self.rows.push(Stored { version, address, length, set, operation, live: true, hash });
    }

    /// Stores a row whose key no other row of the store has. Not found by its key.
    pub(super) fn put_distinct(
        &mut self,
        (operation, version): (Operation, Lsn),
        values: &[u8],
        set: &ColumnSet,
    ) {
        let set = self.set_id(set.clone());
        let (address, length) = self.append(Cow::Borrowed(values));
        self.rows.push(Stored { version, address, length, set, operation, live: true, hash: 0 });
    }

    /// The live rows of one column set, in order of their last change.
    pub(super) fn live(&self, set: u16) -> impl Iterator<Item = Row<'_>> {
        let rows = self.rows.iter().filter(move |stored| stored.live && stored.set == set);
        rows.filter_map(|stored| self.row(stored))
    }

    /// Every live row with its columns; for a large row also the bytes that hold it.
    pub(super) fn all_live(&self) -> impl Iterator<Item = (Row<'_>, &ColumnSet, &Bytes)> {
        let rows = self.rows.iter().filter(|stored| stored.live);
        rows.filter_map(|stored| {
            let set = self.sets.get(usize::from(stored.set))?;
            let block = match self.segments.get((stored.address >> SEGMENT_BITS) as usize)? {
                Segment::Alone(bytes) => bytes,
                Segment::Many(_) => &self.block,
            };
            Some((self.row(stored)?, set, block))
        })
    }

    fn point_at(&mut self, table: &Table, values: Tuple<'_>, hash: u32, place: u32) {
        let Self { segments, rows, index, reserved, .. } = self;
        let is_it = |stored: &Stored| {
            stored.hash == hash && tuple_of(segments, stored).is_some_and(|row| same_key(table, row, values))
        };
        if let Some(found) = index.find_mut(spread(hash), |other| is_it(&rows[*other as usize])) {
            let earlier = std::mem::replace(found, place);
            rows[earlier as usize].live = false;
            // The memory of a superseded large row is freed at once.
            if let Some(Segment::Alone(bytes)) =
                segments.get_mut((rows[earlier as usize].address >> SEGMENT_BITS) as usize)
            {
                *reserved -= bytes.len();
                *bytes = Bytes::new();
            }
            return;
        }
        // The row at `place` is stored after this call, so its hash is taken from the argument.
        let hash_of = |place: &u32| rows.get(*place as usize).map_or(hash, |stored| stored.hash);
        index.insert_unique(spread(hash), place, |place| spread(hash_of(place)));
    }

    fn set_id(&mut self, set: ColumnSet) -> u16 {
        let known = self.sets.iter().position(|other| *other == set);
        known.unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        }) as u16
    }

    fn append(&mut self, values: Cow<'_, [u8]>) -> (u32, u32) {
        if values.len() < LARGE {
            return self.copy(&values);
        }
        let length = values.len() as u32;
        let bytes = match values {
            Cow::Borrowed(values) => {
                part_of(&self.block, values).unwrap_or_else(|| Bytes::copy_from_slice(values))
            }
            Cow::Owned(mut values) => {
                values.shrink_to_fit();
                values.into()
            }
        };
        self.reserved += bytes.len();
        self.segments.push(Segment::Alone(bytes));
        (((self.segments.len() - 1) << SEGMENT_BITS) as u32, length)
    }

    fn copy(&mut self, bytes: &[u8]) -> (u32, u32) {
        let room = |last: &Vec<u8>| last.capacity().min(SEGMENT).saturating_sub(last.len());
        let full = |segment: &Segment| match segment {
            Segment::Many(last) => room(last) < bytes.len(),
            Segment::Alone(_) => true,
        };
        if self.segments.last().is_none_or(full) {
            let fits = |size: &usize| *size * LEAST_OF_A_SIZE <= self.reserved;
            let size = SIZES.into_iter().rev().find(fits).unwrap_or(SIZES[0]);
            let capacity = size.max(bytes.len());
            self.segments.push(Segment::Many(Vec::with_capacity(capacity)));
            self.reserved += capacity;
        }
        let segment = self.segments.len() - 1;
        let Some(Segment::Many(last)) = self.segments.last_mut() else { return (0, 0) };
        let offset = last.len();
        last.extend_from_slice(bytes);
        ((segment << SEGMENT_BITS | offset) as u32, bytes.len() as u32)
    }

    fn row(&self, stored: &Stored) -> Option<Row<'_>> {
        let values = self.tuple(stored)?;
        Some(Row { operation: stored.operation, version: stored.version, values })
    }

    fn tuple(&self, stored: &Stored) -> Option<Tuple<'_>> {
        tuple_of(&self.segments, stored)
    }
}

/// The part of the block that holds the values, if that is at least three quarters of it: a block is not kept for a
/// small part.
fn part_of(block: &Bytes, values: &[u8]) -> Option<Bytes> {
    let start = (values.as_ptr() as usize).checked_sub(block.as_ptr() as usize)?;
    let is_inside = start + values.len() <= block.len();
    (is_inside && values.len() / 3 * 4 >= block.len()).then(|| block.slice(start..start + values.len()))
}

fn tuple_of<'a>(segments: &'a [Segment], stored: &Stored) -> Option<Tuple<'a>> {
    let segment = segments.get((stored.address >> SEGMENT_BITS) as usize)?.bytes();
    let offset = stored.address as usize & (SEGMENT - 1);
    Some(Tuple::stored(segment.get(offset..offset + stored.length as usize)?))
}

/// The values of the key columns, in key order, each in its canonical spelling.
pub(crate) fn key<'a>(table: &'a Table, values: Tuple<'a>) -> impl Iterator<Item = Value<'a>> {
    table.key.iter().map(move |place| {
        match (values.values().nth(*place).unwrap_or(Value::Null), table.columns.get(*place)) {
            (Value::Text(text), Some(column)) => Value::Text(column.kind.key_text(text)),
            (value, _) => value,
        }
    })
}

pub(super) fn same_key(table: &Table, one: Tuple<'_>, other: Tuple<'_>) -> bool {
    key(table, one).eq(key(table, other))
}

fn key_hash(table: &Table, values: Tuple<'_>) -> u32 {
    let hash = key(table, values).fold(0, |hash: u64, value| match value {
        Value::Text(text) => xxh3_64(text) ^ hash.rotate_left(23),
        Value::Null | Value::Unchanged => hash.rotate_left(23),
    });
    hash as u32
}

/// Spreads 32 bits over 64: the hash table uses the highest and the lowest bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
