//! The test bed tested: its parts start, do what their users rely on, and leave nothing behind.

#[path = "testbed/postgres.rs"]
mod postgres;

#[path = "testbed/owner.rs"]
mod owner;
