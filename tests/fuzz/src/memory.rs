//! The limit on allocated memory at any moment: a fixed allowance plus a multiple of the input's length.

use allocation_counter::measure;

/// For buffers whose size does not depend on the input.
const ALLOWANCE: u64 = 1 << 20;
/// The number of copies of an input that may exist at the same time, each with the slack of a growing buffer.
const FORMS: u64 = 64;

/// Asserts the limit while `work` runs: a declared length alone must not reserve memory.
pub(crate) fn within(length: usize, work: impl FnOnce()) {
    let (held, bound) = (measure(work).bytes_max, ALLOWANCE + FORMS * length as u64);
    assert!(held <= bound, "{length} bytes made the worker hold {held}, which is more than {bound}");
}
