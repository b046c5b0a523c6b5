//! What the operator remembers of jobs, because a watch may still show them as they were.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crds::ReplicationJobStatus;

use super::RESTING;

/// By the uid of a job.
#[derive(Debug, Default)]
pub struct Memory {
    /// The statuses written last.
    written: Mutex<HashMap<String, ReplicationJobStatus>>,
    /// The jobs that were let go lately.
    forgotten: Mutex<HashMap<String, Instant>>,
    /// The deleted jobs that never reached their source. Their status says so no more, once they are being deleted.
    unreached: Mutex<HashSet<String>>,
}

impl Memory {
    pub(super) fn written(&self, uid: &str) -> Option<ReplicationJobStatus> {
        lock(&self.written).get(uid).cloned()
    }

    pub(super) fn write(&self, uid: &str, status: &ReplicationJobStatus) {
        lock(&self.written).insert(uid.to_owned(), status.clone());
    }

    /// The job was let go.
    pub(super) fn forget(&self, uid: &str) {
        lock(&self.written).remove(uid);
        lock(&self.unreached).remove(uid);
        let mut forgotten = lock(&self.forgotten);
        forgotten.retain(|_, since| since.elapsed() < RESTING);
        forgotten.insert(uid.to_owned(), Instant::now());
    }

    pub(super) fn note_unreached(&self, uid: &str) {
        lock(&self.unreached).insert(uid.to_owned());
    }

    pub(super) fn is_unreached(&self, uid: &str) -> bool {
        lock(&self.unreached).contains(uid)
    }

    pub(super) fn is_forgotten(&self, uid: &str) -> bool {
        lock(&self.forgotten).contains_key(uid)
    }
}

// A map is whole between two calls, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
