//! The operator in a real Kubernetes: real pods, enforced rights, the API server's own audit log.

mod deletion;
mod fixture;
mod healing;
mod lifecycle;
mod manifests;
mod operator;
