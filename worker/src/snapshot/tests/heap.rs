//! The storage of the simulated server: blocks of row versions.

use std::collections::BTreeMap;

use super::server::Xid;

/// Row versions of a block: few, so that rows move between blocks soon.
pub(super) const CAPACITY: usize = 2;

/// A value; none is NULL.
pub(super) type Datum = Option<String>;

/// Values by column number. A column that was added later has none here, and the default that it was added with.
pub(super) type Values = BTreeMap<i32, Datum>;

#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) values: Values,
    pub(super) xmin: Xid,
    pub(super) xmax: Option<Xid>,
}

/// Block and slot of a version.
pub(super) type Ctid = (usize, usize);

/// The versions of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Heap {
    pub(super) blocks: Vec<[Option<Version>; CAPACITY]>,
}

impl Heap {
    /// Puts a version into the first free slot, where blocks are filled with so many.
    pub(super) fn put(&mut self, version: Version, fill: usize) {
        let mut slots = self.blocks.iter_mut().flat_map(|block| block.iter_mut().take(fill));
        match slots.find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(version),
            None => self.blocks.push([Some(version), None]),
        }
    }

    pub(super) fn versions(&self) -> impl Iterator<Item = (Ctid, &Version)> {
        self.blocks.iter().enumerate().flat_map(|(block, slots)| {
            slots
                .iter()
                .enumerate()
                .filter_map(move |(slot, version)| Some(((block, slot), version.as_ref()?)))
        })
    }

    pub(super) fn at(&mut self, (block, slot): Ctid) -> Option<&mut Version> {
        self.blocks.get_mut(block)?.get_mut(slot)?.as_mut()
    }

    /// Frees the slots of dead versions.
    pub(super) fn vacuum(&mut self, is_dead: impl Fn(&Version) -> bool) {
        for slot in self.blocks.iter_mut().flatten() {
            slot.take_if(|version| is_dead(version));
        }
    }
}
