//! The operator in a real Kubernetes: real pods, enforced rights, the API server's own audit log.

mod cleanup;
mod control;
mod copies;
mod deletion;
mod fixture;
mod healing;
mod lag;
mod lifecycle;
mod manifests;
mod many;
mod neighbours;
mod operator;
