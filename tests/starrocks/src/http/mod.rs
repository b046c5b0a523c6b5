//! A small HTTP/1.1 server layer: what Stream Load needs and general servers hide.
//!
//! The caller decides when `100 Continue` goes out, whether a body is read at all, and how a connection ends.
//! Every size is bounded; hostile bytes give an error, never a panic.

mod body;
mod connection;
mod request;
mod response;

pub(crate) use body::{Body, BodyError};
pub(crate) use connection::{Connection, HeadError};
pub(crate) use request::{BadCredentials, Request, decode_percent};
pub(crate) use response::{Response, Status};
