//! The control interface of a worker: requests of the operator, and the worker's answers.
//!
//! Everything here is generated from `proto/dbmazz.proto`, which documents the messages.

#![allow(missing_debug_implementations, unreachable_pub, reason = "generated code")]

tonic::include_proto!("dbmazz");

/// The encoded descriptors, for gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dbmazz.bin"));
