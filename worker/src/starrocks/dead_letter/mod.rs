//! Rows that StarRocks refuses: found by halving their load, and parked whole beside the targets.

pub(crate) mod row;
pub(crate) mod table;
