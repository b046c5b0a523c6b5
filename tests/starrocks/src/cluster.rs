//! The state that FE, BE, SQL and admin share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    Options, Profile, Stats, User,
    catalog::{Catalog, Change, Column},
    clock::Clock,
    fault::Faults,
    locked,
    transaction::Transactions,
};

const ERROR_LOGS: usize = 1000;

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) catalog: Mutex<Catalog>,
    pub(crate) transactions: Mutex<Transactions>,
    pub(crate) faults: Faults,
    pub(crate) stats: Mutex<Stats>,
    /// Commits whose rows are not yet to be seen.
    pending: Mutex<Vec<Publication>>,
    error_logs: Mutex<VecDeque<(String, String)>>,
    error_log_number: AtomicU64,
    pub(crate) be_port: OnceLock<u16>,
    pub(crate) is_be_up: AtomicBool,
}

/// A committed load's rows on their way to visibility.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) database: String,
    pub(crate) transaction: u64,
    pub(crate) table_id: u64,
    pub(crate) epoch: u64,
    /// The columns that the changes carry.
    pub(crate) columns: Vec<Column>,
    pub(crate) changes: Vec<Change>,
    pub(crate) is_partial: bool,
    pub(crate) due_millis: i64,
}

impl Cluster {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            clock: Clock::default(),
            catalog: Mutex::default(),
            transactions: Mutex::default(),
            faults: Faults::default(),
            stats: Mutex::default(),
            pending: Mutex::default(),
            error_logs: Mutex::default(),
            error_log_number: AtomicU64::new(0),
            be_port: OnceLock::new(),
            is_be_up: AtomicBool::new(true),
        }
    }

    pub(crate) fn profile(&self) -> Profile {
        self.options.profile
    }

    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.options.users.iter().find(|user| user.name == name)
    }

    pub(crate) fn online_backends(&self) -> u32 {
        u32::from(self.is_be_up.load(Ordering::Relaxed))
    }

    pub(crate) fn backend_address(&self) -> String {
        format!("{}:{}", self.options.advertise, self.be_port.get().copied().unwrap_or(self.options.be_port))
    }

    /// Takes the rows of a committed load, at once or when they are due, and says whether they are visible.
    /// Loads of one table become visible in the order of their commits (§9.3), so a late one delays those after it.
    pub(crate) fn publish(&self, mut publication: Publication) -> bool {
        self.settle();
        let now = self.clock.now();
        let mut pending = locked(&self.pending);
        let same_table = |other: &&Publication| {
            other.database == publication.database && other.table_id == publication.table_id
        };
        let after = pending.iter().filter(same_table).map(|other| other.due_millis).max();
        publication.due_millis = publication.due_millis.max(after.unwrap_or(now));
        if publication.due_millis > now {
            pending.push(publication);
            return false;
        }
        drop(pending);
        self.show(publication, now);
        true
    }

    /// Publishes what has become due; called before anybody looks at rows or states.
    pub(crate) fn settle(&self) {
        let now = self.clock.now();
        let due: Vec<_> =
            locked(&self.pending).extract_if(.., |publication| publication.due_millis <= now).collect();
        due.into_iter().for_each(|publication| self.show(publication, now));
    }

    fn show(&self, publication: Publication, now: i64) {
        let Publication { database, transaction, table_id, epoch, columns, changes, is_partial, .. } =
            publication;
        let mut catalog = locked(&self.catalog);
        // Rows of a load whose table was dropped or truncated meanwhile are gone, without a word (§12.6).
        let table = catalog.table_by_id(&database, table_id).filter(|table| table.epoch == epoch);
        if let Some(table) = table {
            table.apply(&columns, changes, is_partial, now);
        }
        locked(&self.transactions).publish(&database, transaction, now);
    }

    /// Keeps an error log and returns its file name.
    pub(crate) fn keep_error_log(&self, text: String) -> String {
        let number = self.error_log_number.fetch_add(1, Ordering::Relaxed);
        let name = format!("error_log_{number:016x}_{:016x}", self.clock.now());
        let mut logs = locked(&self.error_logs);
        if logs.len() == ERROR_LOGS {
            logs.pop_front();
        }
        logs.push_back((name.clone(), text));
        name
    }

    pub(crate) fn error_log(&self, name: &str) -> Option<String> {
        let logs = locked(&self.error_logs);
        logs.iter().find(|(file, _)| file == name).map(|(_, text)| text.clone())
    }

    pub(crate) fn stats(&self) -> Stats {
        self.settle();
        let mut stats = locked(&self.stats).clone();
        for (database, content) in &locked(&self.catalog).databases {
            for (name, table) in &content.tables {
                let entry = stats.tables.entry(format!("{database}.{name}")).or_default();
                (entry.rows, entry.version) = (table.rows.len() as u64, table.version);
            }
        }
        let labels = locked(&self.transactions).count().into_iter();
        let owned = |states: BTreeMap<&'static str, usize>| {
            states.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
        };
        stats.labels = labels.map(|(database, states)| (database, owned(states))).collect();
        stats
    }
}
