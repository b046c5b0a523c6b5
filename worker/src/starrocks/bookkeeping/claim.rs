//! The claim: the job's row in `dbmazz_jobs`, which records the slot, how far it is loaded, and how the last worker ended.
//!
//! A successor reads it before it touches the slot, and again before its first load. The row is written by a load like
//! any other row, so it needs no privilege that the targets do not need.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    config::SinkConfig,
    lsn::Lsn,
    pipeline::Batch,
    starrocks::{
        bookkeeping::own_table::{OwnRows, is_there, own_table, short_text},
        sql::{Rows, Session, SqlError, literal, quoted},
    },
    table::Table,
};

/// The table of claims, in the target database.
pub(crate) const CLAIMS: &str = "dbmazz_jobs";

/// Identifies a slot, by whatever address its server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotIdentity {
    pub system_identifier: u64,
    pub slot: String,
}

impl SlotIdentity {
    /// Valid as a key in StarRocks and as the name of a directory.
    pub fn key(&self) -> String {
        format!("{}-{}", self.system_identifier, self.slot)
    }
}

/// Whether the worker that wrote a claim may still have loads in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Loading,
    /// No load is in flight, and nothing was loaded beyond `durable`.
    Ended,
    /// No load is in flight. More may have been loaded than `durable` says, because a table is halted or the worker
    /// stopped before it had loaded everything it received.
    Quiet,
    /// The slot was lost, and the job may create another one: it takes every table anew.
    Lost,
    /// The job copied its tables once and has ended; its slot is dropped.
    Completed,
    /// The job was deleted and its slot dropped: a later job with this slot name starts without a prior run.
    Released,
}

/// The last claim of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Name of the journal that records the worker's loads.
    pub(crate) journal: String,
    pub(crate) standing: Standing,
    /// The server's timeline, where it is known that everything loaded was on it.
    pub(crate) timeline: Option<u32>,
    /// Everything before this is in StarRocks.
    pub(crate) durable: Lsn,
    /// When the claim was written, in nanoseconds since 1970: unique for each claim.
    pub(crate) moment: String,
}

/// A `moment` for a new claim.
pub(crate) fn new_moment() -> String {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

impl Claim {
    /// The claim of the last worker; none when no worker ever loaded for the slot.
    pub(crate) async fn find(config: &SinkConfig, slot: &SlotIdentity) -> Result<Option<Self>, SqlError> {
        let mut session = Session::open(config).await?;
        let (database, table, key) = (quoted(&config.database), quoted(CLAIMS), literal(&slot.key()));
        let select = format!("SELECT {COLUMNS} FROM {database}.{table} WHERE `slot` = {key}");
        let found = session.run(&select, "read the claim of the slot").await;
        session.close().await;
        Ok(found?.into_iter().next().map(|row| Self::read(&row).1))
    }

    /// Every claim of the job, with the key of its slot; none before the table of claims exists.
    pub(crate) async fn of_job(config: &SinkConfig, job: &str) -> Result<Vec<(String, Self)>, SqlError> {
        let mut session = Session::open(config).await?;
        let found = of_job(&mut session, &config.database, job).await;
        session.close().await;
        Ok(found?.iter().map(|row| Self::read(row)).collect())
    }

    /// Reads a row of `COLUMNS`. An unknown standing counts as `Loading`.
    pub(crate) fn read(row: &[Option<String>]) -> (String, Self) {
        let text = |place: usize| row.get(place).and_then(Option::as_deref).unwrap_or_default();
        let standing = match text(2) {
            ENDED => Standing::Ended,
            QUIET => Standing::Quiet,
            RELEASED => Standing::Released,
            LOST => Standing::Lost,
            COMPLETED => Standing::Completed,
            _ => Standing::Loading,
        };
        let (timeline, durable) = (text(3).parse().ok(), text(4).parse().unwrap_or_default());
        let (journal, moment) = (text(1).to_owned(), text(5).to_owned());
        (text(0).to_owned(), Self { journal, standing, timeline, durable, moment })
    }

    /// The row as a batch. It contains `moment`, so that no two claims give the same load.
    pub(crate) fn batch(&self, key: &str, job: &str, now: SystemTime) -> Option<Batch> {
        let standing = match self.standing {
            Standing::Loading => "loading",
            Standing::Ended => ENDED,
            Standing::Quiet => QUIET,
            Standing::Released => RELEASED,
            Standing::Lost => LOST,
            Standing::Completed => COMPLETED,
        };
        let timeline = self.timeline.map(|timeline| timeline.to_string()).unwrap_or_default();
        let durable = self.durable.to_string();
        let values = [key, job, &self.journal, standing, &durable, &timeline, &self.moment];
        let mut claims = OwnRows::of(table());
        claims.put(&values, self.durable)?;
        claims.batch(now)
    }
}

const ENDED: &str = "ended";
/// A worker of an older version reads it as loading, and waits.
const QUIET: &str = "quiet";
const RELEASED: &str = "released";
/// A worker of an older version reads these two as loading; it does not find the slot, and halts.
const LOST: &str = "lost";
const COMPLETED: &str = "completed";
/// In the order in which [`Claim::read`] expects them.
const COLUMNS: &str = "`slot`, `journal`, `standing`, `timeline`, `lsn`, `moment`";

/// The claim of a slot, by key and job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) slot: String,
    pub(crate) job: String,
    pub(crate) standing: Standing,
}

/// Every claim in the database. The table of claims must exist.
pub(crate) async fn all(session: &mut Session, database: &str) -> Result<Vec<Claimed>, SqlError> {
    let (database, table) = (quoted(database), quoted(CLAIMS));
    let select = format!("SELECT {COLUMNS}, `job` FROM {database}.{table}");
    let rows = session.run(&select, "read the claims of all jobs").await?;
    let claimed = |row: Vec<Option<String>>| {
        let (slot, Claim { standing, .. }) = Claim::read(&row);
        Claimed { slot, standing, job: row.into_iter().nth(6).flatten().unwrap_or_default() }
    };
    Ok(rows.into_iter().map(claimed).collect())
}

async fn of_job(session: &mut Session, database: &str, job: &str) -> Result<Rows, SqlError> {
    let doing = "read the claims of the job";
    if !is_there(session, database, CLAIMS, doing).await? {
        return Ok(Rows::new());
    }
    let (table, job) = (quoted(CLAIMS), literal(job));
    session.run(&format!("SELECT {COLUMNS} FROM {table} WHERE `job` = {job}"), doing).await
}

/// The definition of the table of claims.
pub(crate) fn table() -> Table {
    own_table(
        CLAIMS,
        vec![
            short_text("slot", 32),
            short_text("job", 512),
            short_text("journal", 64),
            short_text("standing", 16),
            short_text("lsn", 32),
            short_text("timeline", 16),
            short_text("moment", 32),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> SlotIdentity {
        SlotIdentity { system_identifier: u64::MAX, slot: "s".repeat(63) }
    }

    fn claim(standing: Standing) -> Claim {
        let (journal, moment) = ("j".to_owned(), "1".to_owned());
        Claim { journal, standing, timeline: Some(3), durable: Lsn(7), moment }
    }

    #[test]
    fn every_slot_has_a_key_that_starrocks_can_hold() {
        assert!(slot().key().len() <= 128);
    }

    #[test]
    fn a_claim_is_one_row_and_never_the_same_load_twice() {
        let batch = |moment: String| {
            let claim = Claim { moment, ..claim(Standing::Ended) };
            claim.batch(&slot().key(), "job", SystemTime::UNIX_EPOCH).unwrap()
        };
        assert_eq!(batch(new_moment()).row_count(), 1);
        assert_ne!(batch(new_moment()).identity(), batch(new_moment()).identity());
    }

    #[test]
    fn rule_10_what_is_not_known_to_have_ended_may_be_loading() {
        for (word, standing) in [
            ("ended", Standing::Ended),
            ("loading", Standing::Loading),
            ("", Standing::Loading),
            ("quiet", Standing::Quiet),
        ] {
            let row = ["1-s", "j", word].map(|text| Some(text.to_owned()));
            assert_eq!(Claim::read(&row).1.standing, standing, "{word}");
        }
    }

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        let row = ["1-s", "j", "ended", "3", "0/7", "1"].map(|text| Some(text.to_owned()));
        assert_eq!(Claim::read(&row), ("1-s".to_owned(), claim(Standing::Ended)));
    }
}
