//! The state that FE, BE, SQL and admin port share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use crate::{
    Mode, Options, Profile, Settings, Stats, User,
    catalog::Catalog,
    clock::Clock,
    fault::{Action, Faults, Stage},
    grants::{Grants, Object, Privilege},
    loaded::{Open, Rows},
    locked,
    outcome::Outcomes,
    stats::LoadRecord,
    transaction::Transactions,
};

const ERROR_LOGS: usize = 1000;

/// A SQL connection, as SHOW PROCESSLIST lists it.
#[derive(Debug, Clone)]
pub(crate) struct Connected {
    pub(crate) id: u32,
    pub(crate) user: String,
    pub(crate) client: String,
    pub(crate) since_millis: i64,
    /// The statement that it runs; it continues when the client disconnects.
    pub(crate) statement: Option<String>,
    /// Notified to end the connection.
    pub(crate) kill: Arc<Notify>,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) options: Options,
    settings: Mutex<Settings>,
    pub(crate) grants: Mutex<Grants>,
    /// Databases, tables and columns as the followers still see them, until `stale_until`.
    stale: Mutex<Catalog>,
    stale_until: AtomicI64,
    /// The index of the leading FE; 0 is the one that tests take down and up.
    pub(crate) leader: AtomicUsize,
    /// Where each FE listens for HTTP.
    pub(crate) fe_ports: OnceLock<Vec<u16>>,
    pub(crate) clock: Clock,
    pub(crate) catalog: Mutex<Catalog>,
    pub(crate) transactions: Mutex<Transactions>,
    pub(crate) faults: Faults,
    pub(crate) stats: Mutex<Stats>,
    pub(crate) outcomes: Outcomes,
    pub(crate) open: Mutex<Open>,
    connections: Mutex<BTreeMap<u32, Connected>>,
    error_logs: Mutex<VecDeque<(String, String)>>,
    error_log_number: AtomicU64,
    pub(crate) be_port: OnceLock<u16>,
    pub(crate) is_be_up: AtomicBool,
    /// The time from which on an FE can reach a BE that has come up.
    settled_at: AtomicI64,
}

impl Cluster {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            settings: Mutex::new(options.settings.clone()),
            grants: Mutex::new(Grants::new(options.users.clone())),
            stale: Mutex::default(),
            stale_until: AtomicI64::new(0),
            leader: AtomicUsize::new(0),
            fe_ports: OnceLock::new(),
            options,
            clock: Clock::default(),
            catalog: Mutex::default(),
            transactions: Mutex::default(),
            faults: Faults::default(),
            stats: Mutex::default(),
            outcomes: Outcomes::default(),
            open: Mutex::default(),
            connections: Mutex::default(),
            error_logs: Mutex::default(),
            error_log_number: AtomicU64::new(0),
            be_port: OnceLock::new(),
            is_be_up: AtomicBool::new(true),
            settled_at: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn profile(&self) -> Profile {
        self.options.profile
    }

    pub(crate) fn mode(&self) -> Mode {
        self.options.mode
    }

    pub(crate) fn settings(&self) -> Settings {
        locked(&self.settings).clone()
    }

    /// Changes the settings that the JSON object names.
    pub(crate) fn change_settings(&self, changes: &[u8]) -> Result<(), serde_json::Error> {
        locked(&self.settings).change(changes)
    }

    pub(crate) fn user(&self, name: &str) -> Option<User> {
        locked(&self.grants).user(name).cloned()
    }

    pub(crate) fn may(&self, user: &User, wanted: Option<Privilege>, object: &Object) -> bool {
        locked(&self.grants).may(user, wanted, object)
    }

    pub(crate) fn may_enter(&self, user: &User, database: &str) -> bool {
        locked(&self.grants).may_enter(user, database)
    }

    pub(crate) fn online_backends(&self) -> u32 {
        u32::from(self.is_be_up.load(Ordering::Relaxed))
    }

    /// Notes that the BE has come up.
    pub(crate) fn backend_is_up(&self) {
        self.is_be_up.store(true, Ordering::Relaxed);
        let settling = i64::try_from(self.settings().settling_millis).unwrap_or(i64::MAX / 4);
        self.settled_at.store(self.clock.now() + settling, Ordering::Relaxed);
    }

    /// False for a moment after the BE has started, when requests of an FE to it are refused.
    pub(crate) fn is_backend_reachable(&self) -> bool {
        self.clock.now() >= self.settled_at.load(Ordering::Relaxed)
    }

    pub(crate) fn backend_address(&self) -> String {
        format!("{}:{}", self.options.advertise, self.be_port.get().copied().unwrap_or(self.options.be_port))
    }

    pub(crate) fn is_leader(&self, frontend: usize) -> bool {
        self.leader.load(Ordering::Relaxed) == frontend
    }

    pub(crate) fn change_leader(&self, frontend: usize) {
        self.leader.store(frontend, Ordering::Relaxed);
        self.lose_leader();
    }

    /// Drops what a new leader does not know: open transactions over several tables, and loads neither prepared nor
    /// committed.
    pub(crate) fn lose_leader(&self) {
        locked(&self.transactions).forget_running();
        locked(&self.open).lose_frontend();
    }

    /// Waits for a fault of this stage, and applies its effect when that concerns the whole cluster.
    pub(crate) async fn meet(&self, stage: Stage, table: &str, label: &str) -> Option<Action> {
        let action = self.faults.meet(stage, table, label).await;
        if action == Some(Action::RestartFrontend) {
            self.lose_leader();
        }
        action
    }

    /// The same at a BE, whose loads a restart of the FE does not end.
    pub(crate) async fn meet_at_backend(&self, stage: Stage, table: &str, label: &str) -> Option<Action> {
        self.meet(stage, table, label).await.filter(|action| *action != Action::RestartFrontend)
    }

    /// The HTTP address of the leader.
    pub(crate) fn leader_address(&self) -> String {
        let ports = self.fe_ports.get().map(Vec::as_slice).unwrap_or_default();
        let port = ports.get(self.leader.load(Ordering::Relaxed)).copied().unwrap_or(self.options.fe_port);
        format!("{}:{port}", self.options.advertise)
    }

    /// The catalogue as an FE sees it: a follower may lag behind for a moment (§12.1).
    pub(crate) fn catalog_of(&self, frontend: usize) -> MutexGuard<'_, Catalog> {
        let is_behind = self.clock.now() < self.stale_until.load(Ordering::Relaxed);
        if is_behind && !self.is_leader(frontend) { locked(&self.stale) } else { locked(&self.catalog) }
    }

    /// Saves the catalogue that the followers see until a change has reached them.
    pub(crate) fn before_change(&self) {
        let lag = i64::try_from(self.settings().follower_lag_millis).unwrap_or(i64::MAX / 4);
        let now = self.clock.now();
        if lag > 0 && self.stale_until.load(Ordering::Relaxed) <= now {
            let copy = locked(&self.catalog).without_rows();
            *locked(&self.stale) = copy;
            self.stale_until.store(now + lag, Ordering::Relaxed);
        }
    }

    /// Counts the rows of a transaction by table.
    pub(crate) fn record_tables(&self, label: &str, tables: &BTreeMap<String, Rows>) {
        for (table, rows) in tables {
            locked(&self.stats).record(LoadRecord {
                table: table.clone(),
                label: label.to_owned(),
                status: "Success".to_owned(),
                message: "OK".to_owned(),
                rows: rows.loaded,
                bytes: rows.bytes,
            });
        }
    }

    /// Stores an error log and returns its URL.
    pub(crate) fn keep_errors(&self, text: String) -> String {
        format!("http://{}/api/_load_error_log?file={}", self.backend_address(), self.keep_error_log(text))
    }

    fn keep_error_log(&self, text: String) -> String {
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

    pub(crate) fn connect(&self, connected: Connected) {
        locked(&self.connections).insert(connected.id, connected);
    }

    pub(crate) fn disconnect(&self, id: u32) {
        locked(&self.connections).remove(&id);
    }

    /// Notes the statement that the connection runs, or that it runs none.
    pub(crate) fn busy_with(&self, id: u32, statement: Option<&str>) {
        if let Some(connected) = locked(&self.connections).get_mut(&id) {
            connected.statement = statement.map(str::to_owned);
        }
    }

    pub(crate) fn connected(&self) -> Vec<Connected> {
        locked(&self.connections).values().cloned().collect()
    }

    /// Returns whether the connection existed.
    pub(crate) fn kill(&self, id: u32, ends_connection: bool) -> bool {
        let connection = locked(&self.connections).get(&id).cloned();
        if let Some(connection) = connection.as_ref().filter(|_| ends_connection) {
            connection.kill.notify_one();
        }
        connection.is_some()
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
