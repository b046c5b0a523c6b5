//! Entry points for the fuzzer and for benchmarks: everything that reads bytes from outside.
//!
//! Each one is a child of what it feeds, whose private parts it needs; here are their names.

pub use crate::{
    postgres::{session_fuzz as session, stream::fuzz as stream},
    starrocks::fuzz as sink,
    verify::fuzz as verify,
};
