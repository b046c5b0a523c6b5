//! What an input may allocate at any moment: an allowance, and a multiple of its length.

use allocation_counter::measure;

/// Buffers that are made whatever comes.
const ALLOWANCE: u64 = 1 << 20;
/// The forms in which an input is held at the same time, each with the rounding of a growing buffer.
const FORMS: u64 = 64;

/// A length that somebody claims must not reserve memory by itself.
pub(crate) fn within(length: usize, work: impl FnOnce()) {
    let (held, bound) = (measure(work).bytes_max, ALLOWANCE + FORMS * length as u64);
    assert!(held <= bound, "{length} bytes made the worker hold {held}, which is more than {bound}");
}
