//! The load sequence: gives each load an id that no other load has, of this worker or an earlier one.
//!
//! A label must not be used for two loads. After a crash the same changes are read again and collected in different
//! batches: older rows first overwrite newer ones, then the newer ones are loaded again with identical bytes. If they
//! had the label that StarRocks already knows, it would report them as loaded and the older rows would remain.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// The loads of one loader.
#[derive(Debug)]
pub(crate) struct LoadSequence {
    name: String,
    loads: AtomicU64,
}

/// Identifies one load with all its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoadId<'a> {
    pub(crate) sequence: &'a str,
    pub(crate) number: u64,
}

impl LoadSequence {
    pub(crate) fn begin() -> Self {
        Self { name: new_name(), loads: AtomicU64::new(0) }
    }

    pub(crate) fn next(&self) -> LoadId<'_> {
        LoadId { sequence: &self.name, number: self.loads.fetch_add(1, Ordering::Relaxed) }
    }
}

/// A unique name, made of the clock and the process id.
pub(crate) fn new_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_nanos(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_load_id_comes_twice() {
        let (one, other) = (LoadSequence::begin(), LoadSequence::begin());
        assert_ne!(one.next(), one.next());
        assert_ne!(one.next().sequence, other.next().sequence);
    }
}
