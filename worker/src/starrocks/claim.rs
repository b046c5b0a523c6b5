//! The job's row in the target database: who loads for a slot, and whether it ended in order.
//!
//! A successor reads it before its first load. The row is a row like any other, so it is written by a
//! load and needs no privilege that the tables do not need.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::sql::{Session, SqlError, literal, quoted};
use crate::{
    change::{Change, Tuple, Value, write_value},
    config::{Deletes, SinkConfig},
    lsn::Lsn,
    pipeline::{Batch, batch::Accumulation},
    table::{Column, Kind, Table, TableId, TableName},
};

/// The table of claims, in the target database beside the tables.
pub(super) const CLAIMS: &str = "dbmazz_jobs";

/// A slot of a server: there is only one of it, however the server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotIdentity {
    pub system_identifier: u64,
    pub slot: String,
}

impl SlotIdentity {
    /// Fits a key of StarRocks, and the name of a directory.
    pub(super) fn key(&self) -> String {
        format!("{}-{}", self.system_identifier, self.slot)
    }
}

/// Whether the worker of a claim may still have loads in the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Loading,
    Ended,
}

/// Who claimed the slot last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// The journal in which its loads are noted.
    pub(super) journal: String,
    pub(super) standing: Standing,
}

impl Claim {
    /// The claim of the last worker; none when nobody ever loaded for the slot.
    pub(super) async fn find(config: &SinkConfig, slot: &SlotIdentity) -> Result<Option<Self>, SqlError> {
        let mut session = Session::open(config).await?;
        let (database, table, key) = (quoted(&config.database), quoted(CLAIMS), literal(&slot.key()));
        let select = format!("SELECT `journal`, `standing` FROM {database}.{table} WHERE `slot` = {key}");
        let found = session.run(&select, "read the claim of the slot").await;
        session.close().await;
        Ok(found?.into_iter().next().map(|row| Self::read(row.into_iter().map(Option::unwrap_or_default))))
    }

    /// What is not known to have ended may be loading.
    fn read(mut row: impl Iterator<Item = String>) -> Self {
        let (journal, standing) = (row.next().unwrap_or_default(), row.next().unwrap_or_default());
        let standing = if standing == ENDED { Standing::Ended } else { Standing::Loading };
        Self { journal, standing }
    }

    /// The row as a batch. The moment is in it, so that no two claims are one load to StarRocks.
    pub(super) fn batch(
        &self,
        slot: &SlotIdentity,
        job: &str,
        durable: Lsn,
        now: SystemTime,
    ) -> Option<Batch> {
        let standing = if self.standing == Standing::Ended { ENDED } else { "loading" };
        let moment = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
        let (key, durable_text) = (slot.key(), durable.to_string());
        let values = [&key, job, &self.journal, standing, &durable_text, &moment];
        let mut row = Vec::new();
        values.iter().for_each(|value| write_value(Value::Text(value.as_bytes()), &mut row));
        let table = Arc::new(table());
        let mut claims = Accumulation::new(Arc::clone(&table), Deletes::Soft);
        let new = Tuple::split(&row, table.columns.len()).ok()?.0;
        claims.push(Change::Insert { new }, durable).ok()?;
        claims.close(now).pop()
    }
}

const ENDED: &str = "ended";

/// The table of claims, in the form of every other.
pub(super) fn table() -> Table {
    let text = |name: &str, characters| Column {
        name: name.to_owned(),
        kind: Kind::ShortText { characters },
        source_type: "text".to_owned(),
    };
    let columns = vec![
        text("slot", 32),
        text("job", 512),
        text("journal", 64),
        text("standing", 16),
        text("lsn", 32),
        text("moment", 32),
    ];
    let name = TableName { schema: "dbmazz".to_owned(), name: CLAIMS.to_owned() };
    Table { id: TableId(u32::MAX), name, target: CLAIMS.to_owned(), columns, key: vec![0] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> SlotIdentity {
        SlotIdentity { system_identifier: u64::MAX, slot: "s".repeat(63) }
    }

    #[test]
    fn every_slot_has_a_key_that_starrocks_can_hold() {
        assert!(slot().key().len() <= 128);
    }

    #[test]
    fn a_claim_is_one_row_and_never_the_same_load_twice() {
        let claim = Claim { journal: "j".to_owned(), standing: Standing::Ended };
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let batch = |seconds| claim.batch(&slot(), "job", Lsn(7), at(seconds)).unwrap();
        assert_eq!(batch(1).row_count(), 1);
        assert_ne!(batch(1).identity(), batch(2).identity());
    }

    #[test]
    fn rule_10_what_is_not_known_to_have_ended_may_be_loading() {
        for (word, standing) in
            [("ended", Standing::Ended), ("loading", Standing::Loading), ("", Standing::Loading)]
        {
            let row = ["j", word].map(str::to_owned);
            assert_eq!(Claim::read(row.into_iter()).standing, standing, "{word}");
        }
    }
}
