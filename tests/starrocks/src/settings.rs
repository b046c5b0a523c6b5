//! The settings that a test may change while the server runs: durations, sizes and delays.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Every field has a default, so a test names only what it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long an asynchronous ALTER takes when nothing blocks it: half of it PENDING, half RUNNING.
    pub alter_millis: u64,
    /// Rows that a memtable takes before it is flushed; in shared-data this decides the order of deletes (§9.3).
    pub memtable_rows: usize,
    /// The maximum number of versions of a tablet; in shared-data the maximum compaction score (§14).
    pub max_versions: u64,
    /// The interval of compaction, which merges all versions into one. In StarRocks it is 120 s; the default here is
    /// shorter, so that tests can load a table every 10 ms, which no production system should do.
    pub compaction_millis: u64,
    /// How long followers lag behind after a change of databases, tables or columns (§12.1).
    pub follower_lag_millis: u64,
    /// How long CREATE TABLE is refused after a BE has come up, because the FE cannot reach it yet.
    pub settling_millis: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alter_millis: 1000,
            memtable_rows: 100_000,
            max_versions: 1000,
            compaction_millis: 5_000,
            follower_lag_millis: 0,
            settling_millis: 0,
        }
    }
}

impl Settings {
    /// Sets the fields that `changes`, a JSON object, names.
    pub(crate) fn change(&mut self, changes: &[u8]) -> Result<(), serde_json::Error> {
        let changes: serde_json::Map<String, Value> = serde_json::from_slice(changes)?;
        let mut fields = serde_json::to_value(&*self)?;
        if let Value::Object(fields) = &mut fields {
            fields.extend(changes);
        }
        *self = serde_json::from_value(fields)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_changes_and_unknown_names_are_errors() {
        let mut settings = Settings::default();
        settings.change(br#"{"alter_millis":5}"#).expect("known");
        assert_eq!(settings, Settings { alter_millis: 5, ..Settings::default() });
        assert!(settings.change(br#"{"alter_hours":5}"#).is_err());
    }
}
