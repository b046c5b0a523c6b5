//! The names of everything that belongs to a job, derived and never stored.
//!
//! They must not change from one version of the operator to the next: a slot under another name has lost the
//! position in the source's WAL.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

/// The field manager that Kubernetes records for our writes.
pub const FIELD_MANAGER: &str = "dbmazz-operator";
/// The finalizer that keeps a resource until its objects at the source are dropped.
pub const FINALIZER: &str = "dbmazz.dev/cleanup";
/// The label that names the job.
pub const JOB_LABEL: &str = "dbmazz.dev/job";
/// The label selector of the objects that the operator watches.
pub const MANAGED: &str = "app.kubernetes.io/managed-by=dbmazz-operator";
/// The container of the worker.
pub const CONTAINER: &str = "dbmazz";

/// PostgreSQL truncates names to this many bytes (`NAMEDATALEN` - 1).
const LONGEST_AT_THE_SOURCE: usize = 63;

/// The Deployment, ConfigMap, Service and ServiceAccount of a job.
pub fn object(job: &str) -> String {
    format!("dbmazz-{job}")
}

/// The Secret with the token of the job's control port.
pub fn control(job: &str) -> String {
    format!("dbmazz-{job}-control")
}

/// The Job that drops slot and publication when the worker cannot.
pub fn cleanup(job: &str) -> String {
    format!("dbmazz-{job}-cleanup")
}

/// The name of that Job where a foreign Job already has the first one: unique to this resource.
pub fn cleanup_otherwise(uid: &str) -> String {
    format!("dbmazz-cleanup-{:016x}", xxh3_64(uid.as_bytes()))
}

/// The replication slot and the publication: readable, unique to this resource, `[a-z0-9_]` only.
pub fn at_the_source(namespace: &str, job: &str, uid: &str) -> String {
    let hash = format!("{:08x}", xxh3_64(uid.as_bytes()) as u32);
    let room = LONGEST_AT_THE_SOURCE - "dbmazz_".len() - 1 - hash.len();
    let readable: String = format!("{namespace}_{job}").chars().map(plain).take(room).collect();
    format!("dbmazz_{readable}_{hash}")
}

fn plain(letter: char) -> char {
    match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9') => letter,
        _ => '_',
    }
}

/// The labels by which a worker's pods are found.
pub fn selector(job: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("app.kubernetes.io/name", "dbmazz".to_owned()), (JOB_LABEL, job.to_owned())])
}

/// The labels of every object of a job.
pub fn labels(job: &str) -> BTreeMap<&'static str, String> {
    let mut labels = selector(job);
    labels.insert("app.kubernetes.io/managed-by", FIELD_MANAGER.to_owned());
    labels.insert("app.kubernetes.io/instance", job.to_owned());
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_name_never_changes() {
        // Pinned: a different result here loses the position of every running job.
        let name = at_the_source("shop", "orders", "8c3e6f0e-6f3d-4c55-9d0e-1d5b8a3c0c11");
        assert_eq!(name, "dbmazz_shop_orders_c16822f0");
    }

    #[test]
    fn a_slot_name_fits_and_is_plain_whatever_the_names() {
        let name = at_the_source(&"n-S.".repeat(60), &"j".repeat(48), "u");
        assert_eq!(name.len(), LONGEST_AT_THE_SOURCE);
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
    }

    #[test]
    fn a_job_made_again_has_another_slot() {
        assert_ne!(at_the_source("shop", "orders", "first"), at_the_source("shop", "orders", "second"));
    }

    #[test]
    fn names_fit_a_label() {
        assert!(cleanup(&"j".repeat(48)).len() <= 63);
    }
}
