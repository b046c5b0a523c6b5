//! Checks `dbmazz_cdc_version` of rows in StarRocks: the commit position of the transaction that wrote a row.
//!
//! It never decreases while one worker streams. After a crash the successor reads unconfirmed changes again, and a row
//! may have an older version for a moment; in the end no version is below the highest one of a change seen before. (The
//! version of a copied row is the position of its chunk. When its own last change is read again after a crash, it gets
//! that one's version back.)

use std::collections::HashMap;

use anyhow::{Result, ensure};

use crate::sink::Sink;

/// Tables with the expression that identifies their rows.
const WATCHED: [(&str, &str); 4] = [("ledger", "id"), ("docs", "id"), ("letters", "id"), ("small_0", "id")];

#[derive(Debug, Default)]
pub(super) struct Versions {
    rows: HashMap<(usize, String), Seen>,
    /// How often a row had an older version than before.
    pub(super) falls: u64,
    pub(super) samples: u64,
    looks: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    /// When the row was seen last, because rows are deleted.
    at: u64,
    last: i64,
    highest: i64,
}

impl Versions {
    /// Reads the watched tables. Skipped while the sink does not answer.
    pub(super) async fn sample(&mut self, sink: &Sink, database: &str) -> Result<()> {
        self.looks += 1;
        for (table, (name, key)) in WATCHED.into_iter().enumerate() {
            let sql = format!("SELECT {key}, dbmazz_cdc_version, dbmazz_op_type FROM {database}.{name}");
            for row in sink.rows(&sql).await? {
                let mut values = row.into_iter().flatten();
                if let (Some(key), Some(Ok(version))) =
                    (values.next(), values.next().map(|text| text.parse()))
                {
                    let may_be_copied = values.next().as_deref() == Some("0");
                    self.see((table, key), version, may_be_copied);
                }
            }
        }
        Ok(())
    }

    /// Forgets all versions after the source was set back, because its positions repeat.
    pub(super) fn forget(&mut self) {
        self.rows.clear();
    }

    /// An insert cannot be told from a row of a copy.
    fn see(&mut self, row: (usize, String), version: i64, may_be_copied: bool) {
        let seen = self.rows.entry(row).or_default();
        self.falls += u64::from(version < seen.last);
        self.samples += 1;
        let highest = if may_be_copied { seen.highest } else { seen.highest.max(version) };
        *seen = Seen { at: self.looks, last: version, highest };
    }

    /// The versions of the last check must be the highest that were ever seen.
    pub(super) fn check(&self) -> Result<()> {
        let below = self.rows.iter().find(|(_, seen)| seen.at == self.looks && seen.last < seen.highest);
        let Some(((table, key), Seen { last, highest, .. })) = below else { return Ok(()) };
        let name = WATCHED.get(*table).map_or("a table", |(name, _)| name);
        ensure!(false, "row {key} of {name} has version {last} in the end and had {highest} before");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_falls_is_counted_and_has_to_come_back() {
        let mut versions = Versions::default();
        let row = || (0, "1".to_owned());
        for version in [10, 20, 10] {
            versions.see(row(), version, false);
        }
        assert_eq!(versions.falls, 1);
        assert!(versions.check().is_err());
        versions.see(row(), 20, false);
        versions.see(row(), 30, true);
        versions.see(row(), 25, false);
        assert!(versions.check().is_ok());
    }
}
