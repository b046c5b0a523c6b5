//! The whole system as a user has it: manifests, SQL, HTTP and gRPC, never the worker's insides.
//!
//! - [`source`]: a database of a real PostgreSQL.
//! - [`sink`]: the StarRocks stand-in as a process, and its rows by MySQL protocol.
//! - [`worker`]: `dbmazz` as a process of its own, without Kubernetes.
//! - [`workload`]: seeded traffic of every kind of change.
//! - [`compare`]: the oracle: both sides, value by value.
//! - [`cluster`]: the operator in a real Kubernetes, installed by Helm.

pub mod cluster;
pub mod compare;
pub mod process;
pub mod sink;
pub mod source;
pub mod wait;
pub mod worker;
pub mod workload;
