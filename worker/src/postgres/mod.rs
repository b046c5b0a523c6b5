//! The source: everything between PostgreSQL and the [`Block`](crate::change::Block)s of the pipeline.
//!
//! ```text
//! setup::prepare ─► tables, slot, publication
//! stream::Reader:  socket ─► frame_buffer (frames ─► pgoutput ─► route) ─► blocks
//!                  socket ◄─ status_update ◄─ durable
//! ```
//!
//! - [`setup`]: checks the source, creates what is missing, reads the tables' shapes, and drops on request.
//! - [`slot`]: the replication slot: its creation, checks, lock and health.
//! - [`stream`]: the reader, the only module that confirms positions to PostgreSQL.
//! - [`pgoutput`] and [`route`]: pure; bytes to messages, messages to changes of the job's tables.
//! - [`connection`]: the client, for SQL and for the replication stream.
//! - [`copy`]: reads existing rows, chunk by chunk, each in a snapshot that tells which transactions it sees.
//! - [`query`]: read-only SQL sessions.
//!
//! All bytes from the socket are checked: wrong ones cause an error, never a panic.

mod connection;
pub mod copy;
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
    DropObjects, Exclusive, Prepared, Setup, drop_objects, lost_slot, prepare, prepare_noted, refused,
    shapes_of, slot_dropped,
};
pub use stream::{Intake, Reader, ReaderEnds, Witness};
pub use visibility::Visibility;
