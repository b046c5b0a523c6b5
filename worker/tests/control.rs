//! The control servers, called over loopback by the clients that users have.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its ground is missing")]

#[path = "control/commands.rs"]
mod commands;
#[path = "control/grpc.rs"]
mod grpc;
#[path = "control/http.rs"]
mod http;
#[path = "control/program.rs"]
mod program;
#[path = "control/token.rs"]
mod token;
#[path = "control/worker.rs"]
mod worker_in_test;
