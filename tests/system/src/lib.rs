//! Helpers for whole-system tests, through the interfaces of users: manifests, SQL, HTTP and gRPC.
//!
//! - [`source`]: a database of a real PostgreSQL.
//! - [`sink`]: the StarRocks stand-in as a process, and its rows by MySQL protocol.
//! - [`worker`]: `dbmazz` as a process, without Kubernetes.
//! - [`workload`]: seeded traffic of every kind of change.
//! - [`verify`]: the oracle: `dbmazz verify` as a process.
//! - [`torture`]: seeded faults of every part under seeded traffic.
//! - [`cluster`]: the operator in a real Kubernetes, installed by Helm.
//! - [`pod`]: PostgreSQL and the stand-in as pods, for a cluster that is not ours.
//! - [`ending`]: how our programs end.

pub mod cluster;
pub mod ending;
pub mod pod;
pub mod process;
pub mod sink;
pub mod source;
pub mod torture;
pub mod verify;
pub mod wait;
pub mod worker;
pub mod workload;
