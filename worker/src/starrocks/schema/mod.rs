//! The target database and its tables: inspected, created when missing, altered to match the source.
//!
//! ```text
//! database ─► each table: ─┬─ missing ─► CREATE
//!                          └─ there ─► columns, history ─► next step ─► ALTER ─► columns read back ─► next step …
//! ```
//!
//! A change counts as done when the columns read back show it and no ALTER of the table is unfinished, not when the
//! statement returns. Nothing is ever dropped or narrowed.

mod anew;
mod apply;
mod difference;
mod earlier;
mod fault;
mod fill;
#[cfg(feature = "fuzz")]
pub(super) mod fuzz;
pub(super) mod header_room;
mod key;
mod look;
mod model;
pub(crate) mod name_check;
mod names;
mod needed;
mod prepare;
mod reshape;
mod standing;
mod statement;
mod target_check;
mod targets;
pub(super) mod transaction_support;
mod truncate;

pub(crate) use self::targets::Beginning;
pub use self::{
    look::{Shown, show},
    prepare::prepare,
    target_check::{TargetCheck, look},
    targets::Targets,
};
pub(super) use self::{reshape::reshape, standing::identity_of, truncate::truncate};
