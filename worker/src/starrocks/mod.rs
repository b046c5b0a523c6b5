//! The sink: StarRocks, by Stream Load for rows and the MySQL protocol for tables.
//!
//! ```text
//! prepare: tables ─► target ─► schema ─► sql ─► frontend (MySQL)
//! take over: claim, journal ─► labels ─► state ─► the right to load
//! load:    batch ─► label ─► encode ─► load ═► frontend, backend (HTTP) ═► answer ─► state ─► durable
//! ```
//!
//! In goes a [`Batch`](crate::pipeline::Batch), out comes the certainty that its rows are in StarRocks,
//! or the fault that says why they can never be. Everything that decides is pure; only `wire`,
//! `frontend`, `load`, `state`, `schema` and `takeover` touch a socket, and only `journal` a file.

mod answer;
mod body;
mod claim;
pub mod encode;
mod frontend;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod histories;
mod journal;
mod label;
mod letter;
mod life;
mod load;
mod loader;
mod name;
mod owners;
mod parked;
mod patience;
mod schema;
mod sift;
mod sql;
mod state;
mod takeover;
mod target;
mod together;
mod wire;

#[cfg(test)]
mod double;

pub use self::{
    claim::SlotIdentity,
    histories::{Histories, known},
    loader::Loader,
    owners::Claimant,
    schema::{Shown, Targets, Verdict, look, prepare, show},
    takeover::{Position, Takeover, Tenure, Won},
    together::TogetherLoader,
};

/// What the names begin with of fields that are in a row and not in the table.
pub(crate) const HEX_PREFIX: &str = "dbmazz_hex_";

/// Columns that every target table has beside those of its source.
pub(crate) const AUDIT_COLUMNS: [(&str, target::TargetType); 4] = [
    ("dbmazz_op_type", target::TargetType::TinyInt),
    ("dbmazz_is_deleted", target::TargetType::Boolean),
    ("dbmazz_synced_at", target::TargetType::DateTime),
    ("dbmazz_cdc_version", target::TargetType::BigInt),
];
