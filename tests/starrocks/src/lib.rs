//! A StarRocks stand-in: what a client of Stream Load and of the MySQL port observes at a real cluster, in one process
//! and in memory.
//!
//! It refuses what StarRocks refuses, accepts without an error what StarRocks accepts so, and injects faults on
//! request.
//!
//! ```text
//!  client ──► fe (8030) ── 307 ──► be (8040) ──► plan ──► reader ──► convert ──► loaded ──► outcome ──► catalog
//!                │                     └───────────────────── transaction ──────────┘                      ▲
//!  client ──► sql (9030) ──────────────────────────────────────────────────────────────────────────────────┘
//!  test   ──► admin (8050): faults, settings, stats, clock, leader, down and up
//! ```

mod admin;
mod be;
mod catalog;
mod clock;
mod cluster;
mod convert;
mod fault;
mod fe;
mod grants;
mod http;
mod loaded;
mod memtable;
mod options;
mod outcome;
mod plan;
mod profile;
mod reader;
mod server;
mod settings;
mod sql;
mod stats;
mod transaction;
mod value;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use fault::{Action, Fault, Stage};
pub use options::{BadUser, Mode, Options, Rights, UnknownMode, User};
pub use profile::{Profile, UnknownProfile};
pub use server::{FollowerPorts, Part, Standin};
pub use settings::Settings;
pub use stats::{LoadRecord, Stats, TableStats};

/// A lock whose holder has panicked stays usable: the data belongs to a test, and the panic is reported elsewhere.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
