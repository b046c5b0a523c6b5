//! The real servers that tests, the demo and the benchmarks run against.
//!
//! - [`postgres`]: private PostgreSQL servers, any number of them.
//! - [`kubernetes`]: a whole Kubernetes cluster in namespaces of its own.
//! - [`docs`]: whether generated parts of the documentation are current.
//! - [`image`]: container images made from release binaries, without Docker.
//!
//! All calls block, and everything is owned by a value: when the value is dropped, or its process ends in any way, the
//! [`leash`] removes processes, folders and everything else.

pub mod certificate;
pub mod docs;
pub mod forward;
pub mod image;
pub mod kubernetes;
pub mod leash;
pub mod network;
pub mod packages;
pub mod postgres;
pub mod progress;
pub mod run;
pub mod slow;
