//! The part of a job that can change while it runs: its tables, and the batch sizes.

use std::time::Duration;

use super::{BatchConfig, ConfigError, limits};
use crate::table::TableName;

/// New batch sizes; `None` leaves a size unchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchChange {
    pub max_rows: Option<u64>,
    pub max_bytes: Option<u64>,
    pub min_interval: Option<Duration>,
}

/// The tables of a changed job, by the same rules as at the start; `None` leaves them unchanged.
pub fn changed_tables(names: &[String]) -> Result<Option<Vec<TableName>>, ConfigError> {
    if names.is_empty() {
        return Ok(None);
    }
    limits::tables("tables", names.iter().map(String::as_str)).map(Some)
}

impl BatchConfig {
    /// The changed sizes, within the same bounds as at the start.
    pub fn changed(self, change: BatchChange) -> Result<Self, ConfigError> {
        let BatchChange { max_rows, max_bytes, min_interval } = change;
        let rows = max_rows.map(|rows| limits::number("maxRows", &rows.to_string(), limits::ROWS));
        let bytes = max_bytes.map(|bytes| limits::bytes("maxBytes", &bytes.to_string(), "64Ki", "1Gi"));
        let interval = min_interval.map(|interval| {
            limits::duration("minInterval", &format!("{}ms", interval.as_millis()), "10ms", "5m")
        });
        Ok(Self {
            max_rows: rows.transpose()?.unwrap_or(self.max_rows),
            max_bytes: bytes.transpose()?.unwrap_or(self.max_bytes),
            min_interval: interval.transpose()?.unwrap_or(self.min_interval),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: BatchConfig =
        BatchConfig { max_rows: 10, max_bytes: 1 << 20, min_interval: Duration::from_secs(1) };

    #[test]
    fn only_what_is_named_changes() {
        let none = BatchChange::default();
        assert_eq!(BEFORE.changed(none), Ok(BEFORE));
        let rows = BatchChange { max_rows: Some(7), ..none };
        assert_eq!(BEFORE.changed(rows), Ok(BatchConfig { max_rows: 7, ..BEFORE }));
        let bytes = BatchChange { max_bytes: Some(1 << 16), ..none };
        assert_eq!(BEFORE.changed(bytes), Ok(BatchConfig { max_bytes: 1 << 16, ..BEFORE }));
        let interval = Some(Duration::from_millis(10));
        let changed = BEFORE.changed(BatchChange { min_interval: interval, ..none });
        assert_eq!(changed.map(|batch| Some(batch.min_interval)), Ok(interval));
    }

    #[test]
    fn tables_are_checked_as_at_the_start() {
        let changed =
            |names: &[&str]| changed_tables(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(changed(&[]), Ok(None));
        assert_eq!(changed(&["t", "s.u"]).map(|tables| tables.map(|tables| tables.len())), Ok(Some(2)));
        assert!(changed(&["t", "public.t"]).is_err() && changed(&[""]).is_err());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_its_name() {
        let none = BatchChange::default();
        for (change, field) in [
            (BatchChange { max_rows: Some(0), ..none }, "maxRows"),
            (BatchChange { max_rows: Some(u64::MAX), ..none }, "maxRows"),
            (BatchChange { max_bytes: Some(1), ..none }, "maxBytes"),
            (BatchChange { max_bytes: Some(u64::MAX), ..none }, "maxBytes"),
            (BatchChange { min_interval: Some(Duration::from_millis(9)), ..none }, "minInterval"),
            (BatchChange { min_interval: Some(Duration::MAX), ..none }, "minInterval"),
        ] {
            assert_eq!(
                BEFORE.changed(change).map_err(|error| error.field),
                Err(field.to_owned()),
                "{change:?}"
            );
        }
    }
}
