//! The counters of the server.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

const RECENT: usize = 1000;

/// The answer to `GET /stats`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Requests to `_stream_load` of the FE.
    pub fe_loads: u64,
    /// Bytes of bodies that reached the FE; a correct client sends none.
    pub fe_body_bytes: u64,
    /// Number of transactions begun.
    pub begun: u64,
    /// Number of answers, by `Status`.
    pub loads: BTreeMap<String, u64>,
    /// Counters by `db.table`.
    pub tables: BTreeMap<String, TableStats>,
    /// Number of remembered labels, by database and state.
    pub labels: BTreeMap<String, BTreeMap<String, usize>>,
    /// The latest thousand answers, oldest first.
    pub recent: VecDeque<LoadRecord>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TableStats {
    /// Number of committed loads.
    pub loads: u64,
    /// Number of rows in committed loads.
    pub rows_loaded: u64,
    pub bytes_loaded: u64,
    pub max_rows_per_load: u64,
    /// Number of rows in the table now.
    pub rows: u64,
    /// Increases with each load that becomes visible.
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
