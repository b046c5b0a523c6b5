//! The control interface of a worker: what the operator asks, and what a worker answers.
//!
//! Everything here is generated from `proto/dbmazz.proto`; the words are explained there.

#![allow(missing_debug_implementations, unreachable_pub, reason = "generated code")]

tonic::include_proto!("dbmazz");

/// The encoded descriptors, for gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dbmazz.bin"));
