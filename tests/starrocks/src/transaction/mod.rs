//! Labels and their transactions, per database (§6).

mod state;

use std::collections::{BTreeMap, HashMap};

pub(crate) use self::state::State;
const CLEAN_INTERVAL_MILLIS: i64 = 14_400_000;
const KEEP_MILLIS: i64 = 3 * 24 * 3_600_000;
/// The interval at which StarRocks aborts overdue loads: a load may outlive its timeout by this long, and commit
/// (§6.2).
const ABORTER_MILLIS: i64 = 30_000;
const KEEP_NUMBER: usize = 1000;
const MAX_RUNNING: usize = 1000;

#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) id: u64,
    pub(crate) state: State,
    pub(crate) reason: String,
    /// Ids of the tables that it loads into.
    tables: Vec<u64>,
    deadline_millis: i64,
    finished_millis: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BeginError {
    LabelExists { is_finished: bool },
    TooManyRunning { running: usize },
}

#[derive(Debug, Default)]
pub(crate) struct Transactions {
    databases: HashMap<String, Labels>,
    last_id: u64,
    cleaned_millis: Option<i64>,
}

#[derive(Debug, Default)]
struct Labels {
    transactions: BTreeMap<u64, Transaction>,
    /// The newest transaction of each label, which decides the label's state.
    newest: HashMap<String, u64>,
}

impl Transactions {
    /// A new id; loads and schema changes share the counter.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn begin(
        &mut self,
        database: &str,
        label: &str,
        table: u64,
        timeout_seconds: u32,
        now: i64,
    ) -> Result<u64, BeginError> {
        let id = self.next_id();
        self.begin_as(id, database, label, vec![table], timeout_seconds, now)?;
        Ok(id)
    }

    /// Begins a transaction that already has an id.
    pub(crate) fn begin_as(
        &mut self,
        id: u64,
        database: &str,
        label: &str,
        tables: Vec<u64>,
        timeout_seconds: u32,
        now: i64,
    ) -> Result<(), BeginError> {
        self.tidy(now);
        let labels = self.databases.entry(database.to_owned()).or_default();
        if let Some(earlier) = labels.find(label).filter(|earlier| earlier.state != State::Aborted) {
            return Err(BeginError::LabelExists { is_finished: !earlier.state.is_running() });
        }
        let running = labels.transactions.values().filter(|other| !other.state.is_finished()).count();
        if running >= MAX_RUNNING {
            return Err(BeginError::TooManyRunning { running });
        }
        let transaction = Transaction {
            id,
            state: State::Prepare,
            reason: String::new(),
            tables,
            deadline_millis: now + i64::from(timeout_seconds) * 1000,
            finished_millis: 0,
        };
        labels.transactions.insert(id, transaction);
        labels.newest.insert(label.to_owned(), id);
        Ok(())
    }

    /// From PREPARE to PREPARED, which lasts for the configured time.
    pub(crate) fn prepare(
        &mut self,
        database: &str,
        id: u64,
        lasts_seconds: u32,
        now: i64,
    ) -> Result<(), String> {
        self.tidy(now);
        let transaction = self.transaction(database, id).ok_or("transaction not found")?;
        if transaction.state != State::Prepare {
            return Err(format!("transaction {id} is {}", transaction.state.name()));
        }
        transaction.state = State::Prepared;
        transaction.deadline_millis = now + i64::from(lasts_seconds) * 1000;
        Ok(())
    }

    /// From PREPARE or PREPARED to COMMITTED; otherwise the reason why not.
    pub(crate) fn commit(&mut self, database: &str, id: u64, now: i64) -> Result<(), String> {
        self.tidy(now);
        let transaction = self.transaction(database, id).ok_or("transaction not found")?;
        match transaction.state {
            State::Prepare | State::Prepared => {
                transaction.state = State::Committed;
                Ok(())
            }
            State::Aborted => Err(transaction.reason.clone()),
            State::Committed | State::Visible => Ok(()),
        }
    }

    pub(crate) fn publish(&mut self, database: &str, id: u64, now: i64) {
        if let Some(transaction) = self.transaction(database, id).filter(|it| it.state == State::Committed) {
            (transaction.state, transaction.finished_millis) = (State::Visible, now);
        }
    }

    pub(crate) fn abort(&mut self, database: &str, id: u64, reason: &str, now: i64) {
        if let Some(transaction) = self.transaction(database, id) {
            transaction.abort(reason, now);
        }
    }

    /// Aborts the running load of a label; returns false when none is running.
    pub(crate) fn cancel(&mut self, database: &str, label: &str, now: i64) -> bool {
        self.tidy(now);
        let Some(labels) = self.databases.get_mut(database) else { return false };
        let running = labels.newest.get(label).and_then(|id| labels.transactions.get_mut(id));
        let running = running.filter(|transaction| transaction.state.is_running());
        running.map(|transaction| transaction.abort("user cancel", now)).is_some()
    }

    /// Aborts the running loads of a BE that has ended; prepared transactions survive.
    pub(crate) fn abort_running(&mut self, reason: &str, now: i64) {
        for labels in self.databases.values_mut() {
            let running = labels.transactions.values_mut();
            let running = running.filter(|transaction| transaction.state == State::Prepare);
            running.for_each(|transaction| transaction.abort(reason, now));
        }
    }

    /// Drops the transactions that a restarted FE has lost: those neither prepared nor committed.
    pub(crate) fn forget_running(&mut self) {
        for labels in self.databases.values_mut() {
            labels.transactions.retain(|_, transaction| transaction.state != State::Prepare);
            labels.drop_dangling();
        }
    }

    /// Whether a load into the table that began before `id` has not ended yet.
    pub(crate) fn has_open(&self, database: &str, table: u64, before: u64) -> bool {
        let Some(labels) = self.databases.get(database) else { return false };
        let mut earlier = labels.transactions.range(..before).map(|(_, transaction)| transaction);
        earlier.any(|transaction| !transaction.state.is_finished() && transaction.tables.contains(&table))
    }

    pub(crate) fn find(&mut self, database: &str, label: &str, now: i64) -> Option<Transaction> {
        self.tidy(now);
        self.databases.get(database)?.find(label).cloned()
    }

    pub(crate) fn forget_database(&mut self, database: &str) {
        self.databases.remove(database);
    }

    /// The number of labels that each database remembers, by state.
    pub(crate) fn count(&self) -> BTreeMap<String, BTreeMap<&'static str, usize>> {
        let mut counts = BTreeMap::new();
        for (database, labels) in &self.databases {
            let states: &mut BTreeMap<_, _> = counts.entry(database.clone()).or_default();
            for transaction in labels.transactions.values() {
                *states.entry(transaction.state.name()).or_default() += 1;
            }
        }
        counts
    }

    fn transaction(&mut self, database: &str, id: u64) -> Option<&mut Transaction> {
        self.databases.get_mut(database)?.transactions.get_mut(&id)
    }

    /// The background work of the FE, done at every read: aborts loads that have timed out, and every four hours
    /// forgets old labels.
    pub(crate) fn tidy(&mut self, now: i64) {
        let aborted_last = now - now.rem_euclid(ABORTER_MILLIS);
        for labels in self.databases.values_mut() {
            let overdue = labels.transactions.values_mut();
            let overdue = overdue.filter(|transaction| transaction.deadline_millis <= aborted_last);
            overdue.for_each(|transaction| transaction.abort("timeout by txn manager", now));
        }
        let cleaned = *self.cleaned_millis.get_or_insert(now);
        if now - cleaned >= CLEAN_INTERVAL_MILLIS {
            self.cleaned_millis = Some(now);
            self.databases.values_mut().for_each(|labels| labels.clean(now));
        }
    }
}

impl Transaction {
    fn abort(&mut self, reason: &str, now: i64) {
        if self.state.is_running() {
            (self.state, self.finished_millis) = (State::Aborted, now);
            self.reason = reason.to_owned();
        }
    }
}

impl Labels {
    fn find(&self, label: &str) -> Option<&Transaction> {
        self.transactions.get(self.newest.get(label)?)
    }

    /// Removes finished transactions that are too old, and the oldest ones above the maximum number (§6.2).
    fn clean(&mut self, now: i64) {
        let mut surplus = self.transactions.len().saturating_sub(KEEP_NUMBER);
        self.transactions.retain(|_, transaction| {
            if !transaction.state.is_finished() {
                return true;
            }
            let goes = surplus > 0 || now - transaction.finished_millis > KEEP_MILLIS;
            surplus = surplus.saturating_sub(usize::from(goes));
            !goes
        });
        self.drop_dangling();
    }

    fn drop_dangling(&mut self) {
        let Self { transactions, newest } = self;
        newest.retain(|_, id| transactions.contains_key(id));
    }
}

#[cfg(test)]
mod tests;
