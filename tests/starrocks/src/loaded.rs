//! Rows that have been read and are not yet committed: of one load, or of all loads of an open transaction (§11).

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{Profile, http::Request, outcome::Part};

/// Headers that concern the transport of a request and not the rows it loads.
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
    /// An error that appears only when the rows are compared with the table.
    pub(crate) fault: Option<String>,
    /// Rows per `db.table`, for the statistics.
    pub(crate) tables: BTreeMap<String, Rows>,
    /// The number of loads that these rows come from.
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

    /// Whether these rows may be committed; otherwise the reason (§5.1, §5.5).
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

/// The state of the transaction interface, by the server that holds it.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// In the memory of the BE: transactions over one table.
    pub(crate) single: HashMap<LabelKey, Single>,
    /// In the memory of the FE: transactions over several tables.
    pub(crate) multi: HashMap<LabelKey, Multi>,
    /// On disk: the rows of prepared transactions, by transaction id.
    pub(crate) prepared: HashMap<u64, Loaded>,
    /// In the memory of the FE: labels whose calls it has redirected to a BE.
    pub(crate) coordinated: HashSet<LabelKey>,
}

impl Open {
    /// Drops the state that is lost with a BE.
    pub(crate) fn lose_backend(&mut self) {
        self.single.clear();
        for multi in self.multi.values_mut().filter(|multi| multi.loaded.loads > 0 || !multi.busy.is_empty())
        {
            multi.busy.clear();
            multi.loaded.fault = Some("coordinate BE is down".to_owned());
        }
    }

    /// Drops the state of an FE that has restarted or is not the leader any more.
    pub(crate) fn lose_frontend(&mut self) {
        self.multi.clear();
        self.coordinated.clear();
    }
}

/// The BE's state of a transaction over one table.
#[derive(Debug)]
pub(crate) struct Single {
    pub(crate) id: u64,
    pub(crate) table: String,
    pub(crate) loaded: Loaded,
    /// The headers of the first load; every later load must have the same.
    pub(crate) headers: Option<Headers>,
    pub(crate) is_busy: bool,
    pub(crate) prepared_seconds: u32,
    pub(crate) idle: Idle,
}

/// Header names and values, the names in lower case.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// The headers that decide what is loaded and how, sorted.
pub(crate) fn load_headers(request: &Request) -> Headers {
    let headers = request.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
    let mut headers: Headers = headers.filter(|(name, _)| !TRANSPORT.contains(&name.as_str())).collect();
    headers.sort();
    headers
}

/// A copy of the request with its load headers replaced by `planned`.
pub(crate) fn with_load_headers(request: &Request, planned: &Headers) -> Request {
    let is_own = |(name, _): &(String, Vec<u8>)| {
        TRANSPORT.iter().any(|transport| name.eq_ignore_ascii_case(transport))
    };
    let mut planned_request = request.clone();
    planned_request.headers.retain(is_own);
    planned_request.headers.extend(planned.clone());
    planned_request
}

/// The FE's state of a transaction over several tables.
#[derive(Debug)]
pub(crate) struct Multi {
    pub(crate) id: u64,
    pub(crate) state: MultiState,
    pub(crate) loaded: Loaded,
    /// Tables with a running load.
    pub(crate) busy: HashSet<String>,
    /// By table, the headers of the first hop of the first load: the FE's plan for all loads into that table follows
    /// them.
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

    /// Cancels the transaction when its timeout has passed.
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

/// How long a transaction may be idle between two calls.
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
