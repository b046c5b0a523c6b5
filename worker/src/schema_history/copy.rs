//! How far the copy of a table's existing rows has come: the part of its history that a restart continues from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lsn::Lsn;

/// The copy of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyState {
    /// The table, or its leaf partitions, by oid.
    pub leaves: BTreeMap<u32, LeafState>,
    pub rows: u64,
    pub bytes: u64,
    /// Every change that a copied chunk can contain is before this position.
    pub end: Lsn,
    /// Set where the table is copied anew: rows of the target that the source does not have are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<Removal>,
}

/// The removal of rows that the source does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Rows that the copy loads have this version at least: the source is asked about every other row. None before the
    /// first barrier of the copy.
    pub from: Option<Lsn>,
}

/// The copy of one leaf partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafState {
    /// The filenode whose blocks were copied. Another one means that the rows have moved.
    pub file: u32,
    /// Blocks that the leaf had when its copy began.
    pub blocks: u32,
    /// The first block that is not copied; none when all rows are.
    pub next: Option<u32>,
}

/// A range of blocks of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// The oid of the leaf.
    pub leaf: u32,
    pub from: u32,
    /// None for the last range, which has no upper end.
    pub to: Option<u32>,
}

impl CopyState {
    /// The beginning of a copy that makes the target equal to the source, whatever is in it.
    pub fn anew() -> Self {
        Self { removal: Some(Removal::default()), ..Self::default() }
    }

    /// The same copy, which removes rows that the source does not have.
    #[must_use]
    pub fn removing(self) -> Self {
        Self { removal: self.removal.or_else(|| Some(Removal::default())), ..self }
    }

    /// Follows the storage of the table: a leaf that is new, or whose rows have moved, is copied from its beginning.
    /// Returns whether anything changed.
    pub fn follow(&mut self, files: &BTreeMap<u32, u32>, sizes: &BTreeMap<u32, u32>) -> bool {
        let before = self.leaves.clone();
        self.leaves.retain(|leaf, state| files.get(leaf) == Some(&state.file));
        for (leaf, file) in files {
            let blocks = sizes.get(leaf).copied().unwrap_or_default();
            self.leaves.entry(*leaf).or_insert(LeafState { file: *file, blocks, next: Some(0) });
        }
        self.leaves != before
    }

    /// Whether the storage is that of which blocks were copied.
    pub fn is_of(&self, files: &BTreeMap<u32, u32>) -> bool {
        self.leaves.len() == files.len()
            && self.leaves.iter().all(|(leaf, state)| files.get(leaf) == Some(&state.file))
    }

    /// The next range of at most so many blocks; none when every row is copied.
    pub fn next(&self, blocks: u32) -> Option<Blocks> {
        self.leaves.iter().find_map(|(leaf, state)| {
            let from = state.next?;
            let to = from.saturating_add(blocks.max(1));
            Some(Blocks { leaf: *leaf, from, to: (to < state.blocks).then_some(to) })
        })
    }

    /// The range is copied.
    pub fn copied(&mut self, range: Blocks, rows: u64, bytes: u64, end: Lsn) {
        if let Some(state) = self.leaves.get_mut(&range.leaf) {
            state.next = range.to;
        }
        self.rows += rows;
        self.bytes += bytes;
        self.end = self.end.max(end);
    }

    /// Blocks of all leaves, and those of them that are copied.
    pub fn blocks(&self) -> (u64, u64) {
        let total = self.leaves.values().map(|state| u64::from(state.blocks)).sum();
        let done = |state: &LeafState| u64::from(state.next.unwrap_or(state.blocks).min(state.blocks));
        (total, self.leaves.values().map(done).sum())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begun(files: &[(u32, u32, u32)]) -> CopyState {
        let mut state = CopyState::default();
        let map =
            |place: fn(&(u32, u32, u32)) -> u32| files.iter().map(|file| (file.0, place(file))).collect();
        state.follow(&map(|file| file.1), &map(|file| file.2));
        state
    }

    fn copy_all(state: &mut CopyState, blocks: u32) -> Vec<Blocks> {
        let mut ranges = Vec::new();
        while let Some(range) = state.next(blocks) {
            state.copied(range, 1, 10, Lsn(5));
            ranges.push(range);
        }
        ranges
    }

    #[test]
    fn an_empty_table_is_one_range_without_an_end() {
        let mut state = begun(&[(7, 70, 0)]);
        assert_eq!(copy_all(&mut state, 10), [Blocks { leaf: 7, from: 0, to: None }]);
        assert_eq!(state.blocks(), (0, 0));
    }

    #[test]
    fn a_rewritten_leaf_is_copied_from_its_beginning_and_the_others_are_not() {
        let mut state = begun(&[(7, 70, 20), (8, 80, 20)]);
        copy_all(&mut state, 10);
        assert!(!state.is_of(&[(7, 71), (8, 80)].into()));
        assert!(state.follow(&[(7, 71), (8, 80)].into(), &[(7, 15), (8, 30)].into()));
        let again: Vec<_> = copy_all(&mut state, 10).iter().map(|range| (range.leaf, range.from)).collect();
        assert_eq!(again, [(7, 0), (7, 10)]);
    }

    #[test]
    fn a_partition_that_is_gone_is_forgotten_and_a_new_one_is_copied() {
        let mut state = begun(&[(7, 70, 20)]);
        copy_all(&mut state, 10);
        assert!(state.follow(&[(9, 90)].into(), &[(9, 1)].into()));
        assert_eq!(copy_all(&mut state, 10), [Blocks { leaf: 9, from: 0, to: None }]);
        assert!(!state.follow(&[(9, 90)].into(), &[(9, 100)].into()));
    }

    proptest! {
        /// Whatever the sizes, and wherever a restart reads the state again: no block is left out or copied twice.
        #[test]
        fn every_block_is_in_one_range(sizes in prop::collection::vec(0_u32..500, 1..5), steps in prop::collection::vec(0_u32..200, 1..40)) {
            let files: Vec<_> = (0..).zip(&sizes).map(|(leaf, blocks)| (leaf, leaf + 100, *blocks)).collect();
            let mut state = begun(&files);
            let mut reached = BTreeMap::new();
            let mut steps = steps.into_iter().cycle();
            while let Some(range) = state.next(steps.next().unwrap()) {
                prop_assert_eq!(reached.insert(range.leaf, range.to), if range.from == 0 { None } else { Some(Some(range.from)) });
                state.copied(range, 1, 1, Lsn(0));
                state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
            }
            prop_assert!(files.iter().all(|(leaf, ..)| reached.get(leaf) == Some(&None)));
        }
    }
}
