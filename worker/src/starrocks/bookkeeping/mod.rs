//! The tables that the worker keeps for itself in the target database, beside the targets.

pub(super) mod checkpoint;
pub(crate) mod claim;
pub(crate) mod own_table;
pub(crate) mod owners;
pub(crate) mod schema_histories;
