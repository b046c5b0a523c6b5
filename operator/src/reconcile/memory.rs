//! What the operator remembers of jobs, because a watch may still show an older state.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crds::ReplicationJobStatus;

use crate::cadence::RESTING;

/// By the uid of a job.
#[derive(Debug, Default)]
pub struct Memory {
    /// The last written statuses.
    written: Mutex<HashMap<String, Written>>,
    /// The jobs that were released a short time ago.
    forgotten: Mutex<HashMap<String, Instant>>,
    /// The deleted jobs that never reached their source: their status no longer shows it once it says Deleting.
    unreached: Mutex<HashSet<String>>,
}

/// A status, and the resource version of its write.
#[derive(Debug)]
struct Written {
    status: ReplicationJobStatus,
    version: String,
}

impl Memory {
    /// The stored status: the one written last, until the watch shows that write or a later one. From then on the watch
    /// counts, also after a write by another client: a status that was wiped or restored has to be written again.
    pub(crate) fn stored(
        &self,
        uid: &str,
        shown: &ReplicationJobStatus,
        version: Option<&str>,
    ) -> ReplicationJobStatus {
        let written = lock(&self.written);
        match written.get(uid) {
            Some(written) if is_before(version, &written.version) => written.status.clone(),
            _ => shown.clone(),
        }
    }

    /// The status that was written last, if this operator has written one.
    pub(crate) fn last(&self, uid: &str) -> ReplicationJobStatus {
        lock(&self.written).get(uid).map(|written| written.status.clone()).unwrap_or_default()
    }

    pub(crate) fn write(&self, uid: &str, status: &ReplicationJobStatus, version: String) {
        lock(&self.written).insert(uid.to_owned(), Written { status: status.clone(), version });
    }

    /// Records that the job was released.
    pub(crate) fn forget(&self, uid: &str) {
        lock(&self.written).remove(uid);
        lock(&self.unreached).remove(uid);
        let mut forgotten = lock(&self.forgotten);
        forgotten.retain(|_, since| since.elapsed() < RESTING);
        forgotten.insert(uid.to_owned(), Instant::now());
    }

    pub(crate) fn note_unreached(&self, uid: &str) {
        lock(&self.unreached).insert(uid.to_owned());
    }

    pub(crate) fn is_unreached(&self, uid: &str) -> bool {
        lock(&self.unreached).contains(uid)
    }

    pub(crate) fn is_forgotten(&self, uid: &str) -> bool {
        lock(&self.forgotten).contains_key(uid)
    }
}

/// Resource versions are increasing numbers (Kubernetes 1.35 guarantees it); one that is no number is never older.
fn is_before(shown: Option<&str>, written: &str) -> bool {
    let number = |version: &str| version.parse::<u64>().ok();
    let shown = shown.and_then(number);
    shown.zip(number(written)).is_some_and(|(shown, written)| shown < written)
}

// The map is consistent between two calls, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crds::status::Stage;

    use super::*;

    fn at(stage: Stage) -> ReplicationJobStatus {
        ReplicationJobStatus { stage, ..ReplicationJobStatus::default() }
    }

    #[test]
    fn a_status_counts_as_written_until_the_watch_has_seen_it() {
        let memory = Memory::default();
        let stored = |version| memory.stored("u", &at(Stage::Pending), version).stage;
        assert_eq!(stored(Some("7")), Stage::Pending);
        memory.write("u", &at(Stage::Streaming), "10".to_owned());
        assert_eq!(stored(Some("9")), Stage::Streaming);
        // The watch shows a later write: the status was wiped.
        for version in [Some("10"), Some("11"), Some("a word"), None] {
            assert_eq!(stored(version), Stage::Pending, "{version:?}");
        }
    }
}
