//! Dead letters: rows that StarRocks refuses, found by halving their load and stored whole in `dbmazz_dead_letters`.

pub(crate) mod row;
pub(crate) mod table;
