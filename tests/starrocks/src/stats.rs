//! What the server counts about the loads it has seen.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

const RECENT: usize = 1000;

/// Everything `GET /stats` shows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Requests that came to the FE's `_stream_load`.
    pub fe_loads: u64,
    /// Bytes of bodies that reached the FE: a right client sends none.
    pub fe_body_bytes: u64,
    /// Transactions begun.
    pub begun: u64,
    /// Answers by `Status`.
    pub loads: BTreeMap<String, u64>,
    /// By `db.table`.
    pub tables: BTreeMap<String, TableStats>,
    /// Labels remembered, by database and state.
    pub labels: BTreeMap<String, BTreeMap<String, usize>>,
    /// The newest thousand answers, oldest first.
    pub recent: VecDeque<LoadRecord>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TableStats {
    /// Committed loads.
    pub loads: u64,
    /// Rows of committed loads.
    pub rows_loaded: u64,
    pub bytes_loaded: u64,
    pub max_rows_per_load: u64,
    /// Rows the table holds now.
    pub rows: u64,
    /// Rises with each load that becomes visible.
    pub version: u64,
}

/// One answer of the BE.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadRecord {
    pub table: String,
    pub label: String,
    pub status: String,
    pub message: String,
    pub rows: u64,
    pub bytes: u64,
}

impl Stats {
    pub(crate) fn record(&mut self, load: LoadRecord) {
        *self.loads.entry(load.status.clone()).or_default() += 1;
        if matches!(load.status.as_str(), "Success" | "Publish Timeout") {
            let table = self.tables.entry(load.table.clone()).or_default();
            table.loads += 1;
            table.rows_loaded += load.rows;
            table.bytes_loaded += load.bytes;
            table.max_rows_per_load = table.max_rows_per_load.max(load.rows);
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(load);
    }
}
