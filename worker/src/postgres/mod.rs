//! The source end: everything between PostgreSQL and the [`Block`](crate::change::Block)s of the pipeline.
//!
//! ```text
//! setup::prepare ─► tables, slot, publication
//! stream::Reader:  socket ─► gather (frames ─► pgoutput ─► route) ─► blocks
//!                  socket ◄─ feedback ◄─ durable
//! ```
//!
//! - [`setup`]: checks the source, creates what is missing, reads the tables' shapes, and drops on request.
//! - [`health`]: how safe the slot is, asked now and then.
//! - [`stream`]: the reader, the only place that tells PostgreSQL to forget WAL.
//! - [`pgoutput`] and [`route`]: pure; bytes to messages, messages to changes of the job's tables.
//! - [`connection`]: the one client, for SQL and for replication alike.
//! - [`reading`]: rows of tables, for whoever only looks.
//!
//! Whatever comes from the socket is checked before it is believed: it can be an error, never a panic.

mod connection;
mod cursor;
mod error;
mod kind;
pub mod pgoutput;
pub(crate) mod query;
pub(in crate::postgres) mod replaced;
pub mod route;
mod server;
pub mod setup;
pub mod slot;
pub(crate) mod sql;
pub mod stream;
pub mod visibility;

#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub use connection::fuzz as session_fuzz;
pub use route::Router;
pub use setup::{
    DropObjects, Exclusive, Prepared, Setup, drop_objects, prepare, prepare_noted, refused, shapes_of,
    slot_dropped,
};
pub use stream::{Intake, Reader, ReaderEnds, Witness};
pub use visibility::Visibility;
