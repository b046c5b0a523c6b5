//! The bookkeeping tables: the worker's own tables in the target database.

pub(super) mod checkpoint;
pub(crate) mod claim;
pub(crate) mod own_table;
pub(crate) mod owners;
pub(crate) mod schema_histories;
