//! The whole system as a user has it: manifests, SQL, HTTP and gRPC, never the worker's insides.
//!
//! - [`source`]: a database of a real PostgreSQL.
//! - [`sink`]: the StarRocks stand-in as a process, and its rows by MySQL protocol.
//! - [`worker`]: `dbmazz` as a process of its own, without Kubernetes.
//! - [`workload`]: seeded traffic of every kind of change.
//! - [`verify`]: the oracle, `dbmazz verify` as a user runs it.
//! - [`torture`]: seeded faults of every part under seeded traffic.
//! - [`cluster`]: the operator in a real Kubernetes, installed by Helm.

pub mod cluster;
pub mod process;
pub mod sink;
pub mod source;
pub mod torture;
pub mod verify;
pub mod wait;
pub mod worker;
pub mod workload;
