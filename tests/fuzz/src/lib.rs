//! Hostile input: one fuzz target for each place where the worker reads data that another program or a person has
//! written.
//!
//! ```text
//! bytes ─► target ─► the worker's own reader ─► a value or an error
//! ```
//!
//! The rule of every target: whatever the bytes are, the reader neither panics nor hangs, and its allocations are
//! bounded by the size of the input; a declared length alone reserves no memory. Targets assert more where more is
//! known.

mod memory;
mod target;

pub use target::{Fuzzed, TARGETS, named};

/// Runs one input within its bounds.
pub fn run(fuzzed: &mut Fuzzed, bytes: &[u8]) {
    memory::within(bytes.len(), || fuzzed(bytes));
}
