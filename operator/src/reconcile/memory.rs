//! What the operator remembers of jobs, because a watch may still show them as they were.

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
    /// The statuses written last.
    written: Mutex<HashMap<String, Written>>,
    /// The jobs that were let go lately.
    forgotten: Mutex<HashMap<String, Instant>>,
    /// The deleted jobs that never reached their source. Their status says so no more, once they are being deleted.
    unreached: Mutex<HashSet<String>>,
}

/// A status, and the version that the resource got with it.
#[derive(Debug)]
struct Written {
    status: ReplicationJobStatus,
    version: String,
}

impl Memory {
    /// The status as it is stored: what was written last, until the watch shows that write or a later one. What it
    /// shows then counts, whoever wrote it: a status that was wiped or restored has to be written again.
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

    /// The job was let go.
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

/// Versions of one resource are numbers that grow (Kubernetes 1.35 promises it); what is none is never old.
fn is_before(shown: Option<&str>, written: &str) -> bool {
    let number = |version: &str| version.parse::<u64>().ok();
    let shown = shown.and_then(number);
    shown.zip(number(written)).is_some_and(|(shown, written)| shown < written)
}

// A map is whole between two calls, whoever panicked.
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
        // What the watch shows now was stored after it: somebody has wiped the status.
        for version in [Some("10"), Some("11"), Some("a word"), None] {
            assert_eq!(stored(version), Stage::Pending, "{version:?}");
        }
    }
}
