//! Hostile bytes: one target for each place where the worker reads what others have written.
//!
//! ```text
//! bytes ─► target ─► the worker's own reader ─► a value or an error
//! ```
//!
//! The rule of every target: whatever the bytes are, the reader neither panics nor hangs, and what it allocates
//! is bounded by what it was given: a length that somebody claims reserves nothing by itself. Where more can
//! be said, a target asserts it.

mod memory;
mod target;

pub use target::{Fuzzed, TARGETS, named};

/// Runs one input within its bounds.
pub fn run(fuzzed: &mut Fuzzed, bytes: &[u8]) {
    memory::within(bytes.len(), || fuzzed(bytes));
}
