//! `dbmazz`: replicates the changes of PostgreSQL tables to StarRocks, without losing one.
//!
//! The path of a WAL byte, with the module of each step:
//!
//! ```text
//! socket ─► decode ─► route ═► batch ─► lane ═► label ─► encode ─► load ─► answer ═► ledger ═► socket (status update)
//! └──── postgres (a thread) ──┘ └─ pipeline ─┘ └──── starrocks, one load a table ────┘ └ pipeline ┘ └─ postgres ─┘
//! ```
//!
//! The vocabulary ([`lsn`], [`table`], [`schema_history`], [`change`], [`fault`], [`slot_lease`], [`prior_run`],
//! [`progress`], `backoff`) imports nothing else.
//! [`snapshot`] copies existing rows between [`postgres`] and the lanes of [`pipeline`], and never imports [`starrocks`];
//! [`postgres`] knows nothing of [`pipeline`] or [`starrocks`]; [`pipeline`] knows neither end and
//! loads through the trait [`pipeline::Load`]; [`starrocks`] never imports [`postgres`];
//! [`verify`] reads both ends and knows neither [`starrocks`] nor [`pipeline`], so that its result is independent;
//! the MySQL protocol that both need is in `mysql`, which knows only [`config`];
//! [`control`] only reads progress and sends commands; [`job`] owns every task and holds no data.
//! The feature `fuzz` adds the module `fuzz`: entry points for the fuzzer, which passes bytes to private modules.
//! `tests/layering.rs` reads the `use` lines and fails when one of these rules is broken.

mod backoff;
pub mod change;
pub mod config;
pub mod control;
pub mod fault;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
pub mod job;
pub mod lsn;
mod mysql;
pub mod pipeline;
pub mod postgres;
pub mod prior_run;
pub mod progress;
pub mod schema_history;
pub mod slot_lease;
pub mod snapshot;
pub mod starrocks;
pub mod table;
pub mod verify;
