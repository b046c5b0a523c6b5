//! Rows that are read and not yet committed: of one load, or of all the loads of an open transaction (§11).

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{Profile, http::Request, outcome::Part};

/// Headers that belong to a request and not to what is loaded.
const TRANSPORT: [&str; 8] = [
    "authorization",
    "accept",
    "connection",
    "content-length",
    "expect",
    "host",
    "transfer-encoding",
    "user-agent",
];

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rows {
    pub(crate) total: u64,
    pub(crate) loaded: u64,
    pub(crate) filtered: u64,
    pub(crate) unselected: u64,
    pub(crate) bytes: u64,
}

impl Rows {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.loaded += other.loaded;
        self.filtered += other.filtered;
        self.unselected += other.unselected;
        self.bytes += other.bytes;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) parts: Vec<Part>,
    pub(crate) rows: Rows,
    /// Lines of the error log.
    pub(crate) log: String,
    pub(crate) max_filter_ratio: f64,
    /// What only shows when rows meet the table.
    pub(crate) fault: Option<String>,
    /// Rows by `db.table`, for the statistics.
    pub(crate) tables: BTreeMap<String, Rows>,
    /// How many loads this is.
    pub(crate) loads: u32,
}

impl Loaded {
    pub(crate) fn add(&mut self, other: Self) {
        let Self { parts, rows, log, max_filter_ratio, fault, tables, loads } = other;
        self.parts.extend(parts);
        self.rows.add(rows);
        for (name, rows) in tables {
            self.tables.entry(name).or_default().add(rows);
        }
        self.log.push_str(&log);
        self.max_filter_ratio = max_filter_ratio;
        self.fault = self.fault.take().or(fault);
        self.loads += loads;
    }

    /// Whether this may be committed, or why not (§5.1, §5.5).
    pub(crate) fn verdict(&self, profile: Profile) -> Result<(), String> {
        if self.has_too_many_filtered() {
            return Err("too many filtered rows".to_owned());
        }
        if self.rows.loaded == 0 {
            return Err(profile.empty_load_message().to_owned());
        }
        self.fault.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn has_too_many_filtered(&self) -> bool {
        let Rows { total, filtered, unselected, .. } = self.rows;
        filtered > 0 && filtered as f64 > self.max_filter_ratio * total.saturating_sub(unselected) as f64
    }
}

/// A database and a label.
pub(crate) type LabelKey = (String, String);

/// What the transaction interface remembers, where it remembers it.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// The BE's: transactions over one table.
    pub(crate) single: HashMap<LabelKey, Single>,
    /// The FE's: transactions over several tables.
    pub(crate) multi: HashMap<LabelKey, Multi>,
    /// On disk: rows of prepared transactions, by transaction.
    pub(crate) prepared: HashMap<u64, Loaded>,
    /// The FE's: labels it has sent to a BE.
    pub(crate) coordinated: HashSet<LabelKey>,
}

impl Open {
    /// What a dying BE takes with it.
    pub(crate) fn lose_backend(&mut self) {
        self.single.clear();
        for multi in self.multi.values_mut().filter(|multi| multi.loaded.loads > 0 || !multi.busy.is_empty())
        {
            multi.busy.clear();
            multi.loaded.fault = Some("coordinate BE is down".to_owned());
        }
    }

    /// What an FE that is not the leader any more, or just restarted, does not know.
    pub(crate) fn lose_frontend(&mut self) {
        self.multi.clear();
        self.coordinated.clear();
    }
}

/// A transaction over one table, as its BE sees it.
#[derive(Debug)]
pub(crate) struct Single {
    pub(crate) id: u64,
    pub(crate) table: String,
    pub(crate) loaded: Loaded,
    /// The headers of its first load; the others have to have the same.
    pub(crate) headers: Option<Headers>,
    pub(crate) is_busy: bool,
    pub(crate) prepared_seconds: u32,
    pub(crate) idle: Idle,
}

/// Headers as they came.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// The headers that say what is loaded and how, in an order of their own.
pub(crate) fn load_headers(request: &Request) -> Headers {
    let headers = request.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
    let mut headers: Headers = headers.filter(|(name, _)| !TRANSPORT.contains(&name.as_str())).collect();
    headers.sort();
    headers
}

/// The request with other headers of a load in place of its own.
pub(crate) fn with_load_headers(request: &Request, planned: &Headers) -> Request {
    let is_own = |(name, _): &(String, Vec<u8>)| {
        TRANSPORT.iter().any(|transport| name.eq_ignore_ascii_case(transport))
    };
    let mut planned_request = request.clone();
    planned_request.headers.retain(is_own);
    planned_request.headers.extend(planned.clone());
    planned_request
}

/// A transaction over several tables, as the FE sees it.
#[derive(Debug)]
pub(crate) struct Multi {
    pub(crate) id: u64,
    pub(crate) state: MultiState,
    pub(crate) loaded: Loaded,
    /// Tables that a load is under way into.
    pub(crate) busy: HashSet<String>,
    /// By table, the headers of the first hop of its first load: the FE has made of them the plan for all of its loads.
    pub(crate) planned: HashMap<String, Headers>,
    pub(crate) timeout_seconds: u32,
    pub(crate) deadline_millis: i64,
    pub(crate) idle: Idle,
}

impl Multi {
    pub(crate) fn cancel(&mut self) {
        self.state = MultiState::Cancelled;
        self.loaded = Loaded::default();
    }

    /// What time does to it.
    pub(crate) fn expire(&mut self, now: i64) {
        if self.state == MultiState::Begin && (now >= self.deadline_millis || self.idle.is_over(now)) {
            self.cancel();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MultiState {
    Begin,
    Committed,
    Cancelled,
}

/// How long a transaction may lie between two calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    pub(crate) limit_seconds: Option<u32>,
    pub(crate) touched_millis: i64,
}

impl Idle {
    pub(crate) fn is_over(self, now: i64) -> bool {
        self.limit_seconds.is_some_and(|limit| now - self.touched_millis > i64::from(limit) * 1000)
    }
}
