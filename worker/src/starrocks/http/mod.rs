//! HTTP to StarRocks: one connection with `100 Continue`, and the frontend that names the backends.

pub(crate) mod connection;
pub(crate) mod frontend;
