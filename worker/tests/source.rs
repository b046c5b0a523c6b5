//! The source side with a real PostgreSQL: setup, login, streaming, and interruptions of all kinds.
//!
//! All tests share one server; each has its own database and slot.

#[cfg(test)]
#[path = "source/catch_up.rs"]
mod catch_up;
#[cfg(test)]
#[path = "source/encoding.rs"]
mod encoding;
#[cfg(test)]
#[path = "source/follow.rs"]
mod follow;
#[cfg(test)]
#[path = "source/interruption.rs"]
mod interruption;
#[cfg(test)]
#[path = "source/login.rs"]
mod login;
#[cfg(test)]
#[path = "source/pooler.rs"]
mod pooler;
#[cfg(test)]
#[path = "source/server.rs"]
mod server;
#[cfg(test)]
#[path = "source/session.rs"]
mod session;
#[cfg(test)]
#[path = "source/setup.rs"]
mod setup;
#[cfg(test)]
#[path = "source/stream.rs"]
mod stream;
