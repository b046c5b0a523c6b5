//! Copies the existing rows of tables while their changes flow.
//!
//! ```text
//! table task:  ask for a barrier ─► lane stands ─► snapshot that sees what was routed ─► COPY ─► load ─► lift ─► next chunk
//! lane:        … load │ barrier                                                                   │ later changes …
//! ```
//!
//! A chunk is a barrier in the lane of its table: everything before it is durable, everything after it is loaded after
//! the chunk. The chunk is read in a snapshot that sees every transaction that was routed before the barrier. So a row
//! that nobody touches is in exactly one chunk, and the last change of any other row is either in the chunk or applied
//! after it. No key is compared, and no position of the WAL.
//!
//! - [`run`](run()): a task for each table, a few at a time.
//! - `removal`: of a table that is copied anew, what no chunk has loaded is compared with the source.
//! - `shown`: what people see meanwhile, once a minute in the log.
//! - [`Filling`]: while a table is copied, adds the large values that changes of its rows lack.

mod chunk;
mod engine;
mod filling;
mod gathering;
mod lacking;
mod pace;
mod reader;
mod removal;
mod run;
mod shown;
mod source;
mod table;
#[cfg(test)]
mod tests;

pub use self::{
    engine::Engine,
    filling::{Copies, Filling},
    run::{Copied, run},
};
