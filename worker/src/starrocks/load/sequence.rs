//! What tells one load from every other, of this worker and of all before it.
//!
//! A label must not come twice. After a crash the same changes are read again and gathered in other batches: first
//! older rows are written over newer ones, then the newer ones come again, byte for byte as before. StarRocks
//! would take a label that it knows for done and leave the older rows there.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Of one loader, from its first load to its last.
#[derive(Debug)]
pub(crate) struct LoadSequence {
    name: String,
    loads: AtomicU64,
}

/// One load of one life, with all its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoadId<'a> {
    pub(crate) sequence: &'a str,
    pub(crate) number: u64,
}

impl LoadSequence {
    pub(crate) fn begin() -> Self {
        Self { name: new_name(), loads: AtomicU64::new(0) }
    }

    pub(crate) fn turn(&self) -> LoadId<'_> {
        LoadId { sequence: &self.name, number: self.loads.fetch_add(1, Ordering::Relaxed) }
    }
}

/// A name that nothing else has: the clock and the process tell.
pub(crate) fn new_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_nanos(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_turn_comes_twice() {
        let (one, other) = (LoadSequence::begin(), LoadSequence::begin());
        assert_ne!(one.turn(), one.turn());
        assert_ne!(one.turn().sequence, other.turn().sequence);
    }
}
