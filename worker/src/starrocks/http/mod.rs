//! HTTP with StarRocks: a connection with `100 Continue`, and requests to the frontend, which names the backends.

pub(crate) mod connection;
pub(crate) mod frontend;
