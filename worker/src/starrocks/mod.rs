//! The sink: StarRocks, by Stream Load for rows and the MySQL protocol for tables.
//!
//! ```text
//! prepare: tables ─► target ─► schema ─► sql ─► frontend (MySQL)
//! load:    batch ─► label ─► encode ─► load ═► frontend, backend (HTTP) ═► answer ─► state ─► durable
//! ```
//!
//! In goes a [`Batch`](crate::pipeline::Batch), out comes the certainty that its rows are in StarRocks,
//! or the fault that says why they can never be. Everything that decides is pure; only `wire`, `load`,
//! `state` and `schema` touch a socket.

mod answer;
mod body;
pub mod encode;
mod label;
mod load;
mod loader;
mod name;
mod patience;
mod schema;
mod sql;
mod state;
mod target;
mod wire;

#[cfg(test)]
mod double;

pub use self::{loader::Loader, schema::prepare};

/// Columns that every target table has beside those of its source.
pub(crate) const AUDIT_COLUMNS: [(&str, target::TargetType); 4] = [
    ("dbmazz_op_type", target::TargetType::TinyInt),
    ("dbmazz_is_deleted", target::TargetType::Boolean),
    ("dbmazz_synced_at", target::TargetType::DateTime),
    ("dbmazz_cdc_version", target::TargetType::BigInt),
];
