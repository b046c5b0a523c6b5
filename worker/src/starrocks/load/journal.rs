//! The journal: loads that were begun and are not known to have ended, recorded in the state directory for a successor.
//!
//! ```text
//! <directory>/name             the journal's name: kept as long as the directory exists and the machine is not rebooted
//! <directory>/boot             the boot id of the machine at that time
//! <directory>/durable          no position beyond this one was confirmed to PostgreSQL
//! <directory>/loads/<label>    an empty file for each load that may still commit
//! ```
//!
//! An entry is written before the load is sent and removed when its outcome is known, so the entries are all loads that
//! can be in flight. A file is created and removed atomically, even by a worker that is killed. Nothing is synced: a
//! machine that goes down may lose entries, so a journal from another boot counts as the journal of another worker. Its
//! loads are ended like any others, but it does not prove that there were no more.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crds::Reason;

use crate::{
    fault::{Fault, Part},
    lsn::Lsn,
    starrocks::load::{label::Label, sequence::new_name},
};

/// Longest name or label in bytes; anything longer was not written by a worker.
const LONGEST_NAME: usize = 128;
const DURABLE: &str = "durable";
const BOOT: &str = "boot";
/// Contains another value at each boot of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const LSN_DIGITS: usize = 16;

/// The entries of one worker and its predecessors in the same directory.
#[derive(Debug)]
pub(crate) struct Journal {
    name: String,
    /// None when the journal is kept in memory only.
    directory: Option<PathBuf>,
    durable: Option<fs::File>,
    open: Mutex<BTreeSet<Label>>,
}

/// What a journal contains for a reader that does not write to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) name: String,
    pub(crate) durable: Lsn,
}

impl Journal {
    /// A journal in memory, which a successor cannot read.
    pub(crate) fn in_memory() -> Self {
        Self { name: new_name(), directory: None, durable: None, open: Mutex::default() }
    }

    /// Opens the journal in `directory`, which is created when it is missing.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let loads = directory.join("loads");
        fs::create_dir_all(&loads)?;
        let name = kept_name(directory)?;
        let mut open = BTreeSet::new();
        for entry in fs::read_dir(&loads)? {
            open.extend(entry?.file_name().to_str().and_then(Label::noted));
        }
        let durable = directory.join(DURABLE);
        let durable = fs::File::options().create(true).write(true).truncate(false).open(durable)?;
        Ok(Self { name, directory: Some(loads), durable: Some(durable), open: Mutex::new(open) })
    }

    /// Locks `directory` as long as the returned file is open; none while another process has the lock. The entries are
    /// complete only when the process that wrote them no longer runs.
    pub(crate) fn lock(directory: &Path) -> io::Result<Option<fs::File>> {
        fs::create_dir_all(directory)?;
        let file =
            fs::File::options().create(true).write(true).truncate(false).open(directory.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            // On a file system without locks, the documentation allows only one worker for a directory.
            Err(fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(file))
            }
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// What the journal in `directory` contains; none when no worker wrote one during this boot.
    pub(crate) fn left(directory: &Path) -> Option<Left> {
        if !is_of_this_boot(directory) {
            return None;
        }
        let name = short(&directory.join("name")).ok()?;
        let durable = short(&directory.join(DURABLE)).ok()?;
        let digits = durable.len() == LSN_DIGITS && durable.bytes().all(|byte| byte.is_ascii_hexdigit());
        let durable = digits.then(|| u64::from_str_radix(&durable, 16).ok()).flatten()?;
        Some(Left { name, durable: Lsn(durable) })
    }

    /// Records `lsn` before it may be confirmed to PostgreSQL. One write of a fixed length, so it is atomic.
    pub(crate) fn durable(&self, lsn: Lsn) -> io::Result<()> {
        let text = format!("{:0LSN_DIGITS$x}", lsn.0);
        self.durable.as_ref().map_or(Ok(()), |file| file.write_all_at(text.as_bytes(), 0))
    }

    /// The name by which a claim refers to this journal.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Every load that may still commit.
    pub(crate) fn labels(&self) -> Vec<Label> {
        self.noted().iter().cloned().collect()
    }

    /// Records a load that is about to be sent.
    pub(crate) fn begun(&self, label: &Label) -> io::Result<()> {
        if let Some(loads) = &self.directory {
            fs::File::create(loads.join(label.as_str()))?;
        }
        self.noted().insert(label.clone());
        Ok(())
    }

    /// Removes a load whose outcome is known.
    pub(crate) fn ended(&self, label: &Label) {
        if let Some(loads) = &self.directory {
            // An entry that remains costs the successor one more request for the label's state.
            let _ = fs::remove_file(loads.join(label.as_str()));
        }
        self.noted().remove(label);
    }

    fn noted(&self) -> MutexGuard<'_, BTreeSet<Label>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stored name, or a new one. The boot id is written last: a worker killed before that leaves no valid name.
fn kept_name(directory: &Path) -> io::Result<String> {
    let file = directory.join("name");
    let known = match short(&file) {
        Ok(name) => name,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let usable = |name: &str| !name.is_empty() && name.len() <= LONGEST_NAME && name.is_ascii();
    if usable(&known) && is_of_this_boot(directory) {
        return Ok(known);
    }
    let name = new_name();
    replace(&file, &name)?;
    replace(&directory.join(BOOT), &boot())?;
    Ok(name)
}

/// Replaces the file atomically.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(&beside, file)
}

fn is_of_this_boot(directory: &Path) -> bool {
    let boot = boot();
    !boot.is_empty() && short(&directory.join(BOOT)).is_ok_and(|kept| kept == boot)
}

/// Empty where the system does not provide it: then every start counts as one after a reboot.
fn boot() -> String {
    short(Path::new(BOOT_ID)).unwrap_or_default().trim().to_owned()
}

/// The text of a small file; at most `LONGEST_NAME` + 1 bytes are read.
fn short(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(LONGEST_NAME as u64 + 1).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The directory cannot be written to or read.
pub(crate) fn unusable(error: &io::Error, part: Part) -> Fault {
    let message = format!("the worker's state directory cannot be used ({error})");
    let fix = "make it a directory that the worker may write to, or name another in DBMAZZ_STATE_DIR";
    Fault::retry(part, Reason::BadConfiguration, message, fix)
}

/// Another running worker has locked the directory, so its loads in flight are not known.
pub(crate) fn in_use(directory: &Path) -> Fault {
    let message = format!("another running worker uses the state directory {}", directory.display());
    let fix = "stop the other worker, or give each a directory of its own in DBMAZZ_STATE_DIR";
    Fault::retry(Part::Sink, Reason::BadConfiguration, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        Label::noted(text).unwrap()
    }

    #[test]
    fn rule_10_a_successor_finds_what_was_in_flight_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let first = Journal::open(directory.path()).unwrap();
        for text in ["dbmazz_a", "dbmazz_b"] {
            first.begun(&label(text)).unwrap();
        }
        first.ended(&label("dbmazz_a"));
        let second = Journal::open(directory.path()).unwrap();
        assert_eq!(second.labels(), [label("dbmazz_b")]);
        assert_eq!(second.name(), first.name());
    }

    #[test]
    fn a_successor_finds_what_postgresql_may_have_been_told() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        assert_eq!(Journal::left(directory.path()), None);
        for lsn in [Lsn(u64::MAX), Lsn(7)] {
            journal.durable(lsn).unwrap();
            let left = Left { name: journal.name().to_owned(), durable: lsn };
            assert_eq!(Journal::left(directory.path()), Some(left));
        }
    }

    #[test]
    fn what_no_worker_has_written_is_no_position() {
        let directory = tempfile::tempdir().unwrap();
        drop(Journal::open(directory.path()).unwrap());
        for content in [&b""[..], b"7", b"+00000000000000f", b"\xFF\xFF", &[b'0'; 1000]] {
            fs::write(directory.path().join(DURABLE), content).unwrap();
            assert_eq!(Journal::left(directory.path()), None, "{content:?}");
        }
    }

    #[test]
    fn a_name_that_is_no_text_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("name"), b"\xFF\xFE").unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        assert_eq!(Journal::open(directory.path()).unwrap().name(), journal.name());
    }

    #[test]
    fn rule_10_a_journal_of_another_boot_is_that_of_another_worker_and_brought_to_its_end_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        journal.begun(&label("dbmazz_a")).unwrap();
        journal.durable(Lsn(7)).unwrap();
        fs::write(directory.path().join(BOOT), "another").unwrap();
        assert_eq!(Journal::left(directory.path()), None, "a position may be missing, too");
        let after = Journal::open(directory.path()).unwrap();
        assert_ne!(after.name(), journal.name());
        assert_eq!(after.labels(), [label("dbmazz_a")]);
        assert_eq!(Journal::open(directory.path()).unwrap().name(), after.name(), "from now on it is kept");
    }

    #[test]
    fn rule_10_one_worker_at_a_time_keeps_a_journal_in_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = Journal::lock(directory.path()).unwrap();
        assert!(first.is_some() && Journal::lock(directory.path()).unwrap().is_none());
        drop(first);
        assert!(Journal::lock(directory.path()).unwrap().is_some());
    }

    #[test]
    fn another_directory_is_another_journal() {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = directories.each_ref().map(|at| Journal::open(at.path()).unwrap());
        assert_ne!(one.name(), other.name());
    }

    #[test]
    fn a_foreign_file_is_no_load() {
        let directory = tempfile::tempdir().unwrap();
        drop(Journal::open(directory.path()).unwrap());
        fs::write(directory.path().join("loads/.swp"), "").unwrap();
        fs::write(directory.path().join("name"), "x".repeat(1000)).unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        assert!(journal.labels().is_empty() && journal.name().len() < LONGEST_NAME);
    }

    #[test]
    fn a_load_that_cannot_be_noted_is_not_begun() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        fs::remove_dir_all(directory.path().join("loads")).unwrap();
        assert!(journal.begun(&label("dbmazz_a")).is_err());
        assert!(journal.labels().is_empty());
    }
}
