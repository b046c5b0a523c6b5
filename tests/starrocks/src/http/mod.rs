//! A small HTTP/1.1 server layer with the control that Stream Load needs and general servers do not give.
//!
//! The caller decides when `100 Continue` is sent, whether a body is read at all, and how a connection ends. Every size
//! is bounded; hostile bytes give an error, never a panic.

mod body;
mod connection;
mod request;
mod response;

pub(crate) use body::{Body, BodyError};
pub(crate) use connection::{Connection, HeadError};
pub(crate) use request::{BadCredentials, Request, decode_percent};
pub(crate) use response::{Response, Status};
