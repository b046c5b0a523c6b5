//! The source end against a real PostgreSQL: setup, login, streaming, and everything that interrupts it.
//!
//! One server for all tests, one database, role and slot for each.

#[path = "source/bench.rs"]
mod bench;
#[path = "source/follow.rs"]
mod follow;
#[path = "source/interruption.rs"]
mod interruption;
#[path = "source/login.rs"]
mod login;
#[path = "source/server.rs"]
mod server;
#[path = "source/setup.rs"]
mod setup;
#[path = "source/stream.rs"]
mod stream;
