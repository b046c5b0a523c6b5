//! The tables that the worker keeps for itself in the target database, beside the targets.

pub(crate) mod own_table;
pub(crate) mod owners;
pub(crate) mod schema_histories;
