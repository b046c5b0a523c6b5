//! The sink: StarRocks, by Stream Load for rows and the MySQL protocol for tables.
//!
//! ```text
//! prepare: tables ─► target ─► schema ─► sql (MySQL) ═► frontend
//! fencing: claim, journal ─► end what a predecessor has in flight ─► load grant
//! load:    batch ─► label ─► encode ─► request ═► http: frontend, backend ═► answer ─► label state ─► durable
//! ```
//!
//! The input is a [`Batch`](crate::pipeline::Batch); the output is the certainty that its rows are in StarRocks, or the
//! fault that says why they cannot be loaded. [`transaction`] loads all tables in one StarRocks transaction instead, and
//! [`dead_letter`] stores the rows that StarRocks refuses. Everything that decides is pure; only [`http`], [`sql`] and
//! their callers touch a socket, and only [`load::journal`] a file.

mod bookkeeping;
mod dead_letter;
#[cfg(test)]
mod double;
mod doubtful;
pub mod encode;
mod fencing;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod http;
mod load;
pub(crate) mod quote;
mod schema;
mod sql;
mod target;
mod transaction;

pub use self::{
    bookkeeping::{
        claim::SlotIdentity,
        owners::Claimant,
        schema_histories::{SchemaHistories, known},
    },
    fencing::{
        Fencing,
        grant::LoadGrant,
        holder::{Position, Tenure},
    },
    load::loader::Loader,
    schema::{Shown, TargetCheck, Targets, look, prepare, show},
    transaction::{BetweenSteps, TransactionLoader},
};

/// Name prefix of JSON fields that carry hexadecimal text for a `VARBINARY` column and are no columns themselves.
pub(crate) const HEX_PREFIX: &str = "dbmazz_hex_";

/// Columns that every target table has in addition to those of its source.
pub(crate) const AUDIT_COLUMNS: [(&str, target::TargetType); 4] = [
    ("dbmazz_op_type", target::TargetType::TinyInt),
    ("dbmazz_is_deleted", target::TargetType::Boolean),
    ("dbmazz_synced_at", target::TargetType::DateTime),
    ("dbmazz_cdc_version", target::TargetType::BigInt),
];
