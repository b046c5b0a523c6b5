//! `dbmazz`: moves the changes of PostgreSQL tables into StarRocks, and loses none.
//!
//! The straight line of a WAL byte, and the room of each step:
//!
//! ```text
//! socket ─► decode ─► route ═► batch ─► lane ═► label ─► encode ─► load ─► answer ═► ledger ═► socket (status update)
//! └──── postgres (a thread) ──┘ └─ pipeline ─┘ └──── starrocks, one load a table ────┘ └ pipeline ┘ └─ postgres ─┘
//! ```
//!
//! The vocabulary ([`lsn`], [`table`], [`schema_history`], [`change`], [`fault`], [`slot_lease`], [`prior_run`],
//! [`progress`]) imports nothing else.
//! [`postgres`] knows nothing of [`pipeline`] or [`starrocks`]; [`pipeline`] knows neither end and
//! names what it needs in the trait [`pipeline::Load`]; [`starrocks`] never imports [`postgres`];
//! [`verify`] reads both ends and knows neither [`starrocks`] nor [`pipeline`], so that its judgement is its own;
//! what both need to speak the MySQL protocol is in `mysql`, which knows nothing but [`config`];
//! [`control`] only reads progress and sends commands; [`job`] owns every task and holds no data.
//! Behind the feature `fuzz` stand the doors of the fuzzer, which hands bytes to rooms that are closed otherwise.
//! `tests/layering.rs` reads the `use` lines and fails when one of these sentences is broken.

pub mod change;
pub mod config;
pub mod control;
pub mod fault;
pub mod job;
pub mod lsn;
mod mysql;
pub mod pipeline;
pub mod postgres;
pub mod prior_run;
pub mod progress;
pub mod schema_history;
pub mod slot_lease;
pub mod starrocks;
pub mod table;
pub mod verify;
