//! Completes loads and schema changes at the time when they are due.
//!
//! There are no timers: every read of rows, labels or columns first completes what is due.

use std::{collections::BTreeSet, sync::Mutex};

use crate::{
    Mode,
    catalog::{AlterJob, Change, Column, Surroundings},
    cluster::Cluster,
    fault::{Action, Stage},
    locked,
    memtable::upserts_then_deletes,
};

/// Loads that are detached from their connections and not yet completed.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// Commits whose rows are not yet visible.
    pending: Mutex<Vec<Publication>>,
    /// Loads without an answer to the client that will commit or abort later.
    undecided: Mutex<Vec<Undecided>>,
}

/// The rows of a committed load that are not yet visible.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) database: String,
    pub(crate) transaction: u64,
    pub(crate) parts: Vec<Part>,
    pub(crate) due_millis: i64,
}

/// The changes of a load to one table.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) table_id: u64,
    pub(crate) epoch: u64,
    /// The columns that the changes carry.
    pub(crate) columns: Vec<Column>,
    pub(crate) changes: Vec<Change>,
    pub(crate) manner: Manner,
}

/// How changes are merged with the stored rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Columns that a change does not carry keep the stored value (§10).
    pub(crate) is_partial: bool,
    /// Id of the column that decides whether a row is new enough (§9.4).
    pub(crate) condition: Option<u32>,
}

/// A load that will commit or abort by itself at a later time.
#[derive(Debug)]
pub(crate) struct Undecided {
    pub(crate) publication: Publication,
    /// The time of the decision; the publication is due at the same time.
    pub(crate) due_millis: i64,
    /// The reason for the abort; with `None` the load commits.
    pub(crate) abort: Option<String>,
}

impl Cluster {
    /// Makes the rows of a committed load visible, at once or when they are due, and returns whether they are visible.
    /// Loads into one table become visible in the order of their commits (§9.3), so a late one delays those after it.
    pub(crate) fn publish(&self, mut publication: Publication) -> bool {
        self.settle();
        let now = self.clock.now();
        let mut pending = locked(&self.outcomes.pending);
        let same_table = |other: &&Publication| {
            let shares = |part: &Part| publication.parts.iter().any(|own| own.table_id == part.table_id);
            other.database == publication.database && other.parts.iter().any(shares)
        };
        let after = pending.iter().filter(same_table).map(|other| other.due_millis).max();
        publication.due_millis = publication.due_millis.max(after.unwrap_or(now));
        if publication.due_millis > now {
            pending.push(publication);
            return false;
        }
        drop(pending);
        self.show(publication, now);
        true
    }

    pub(crate) fn leave_undecided(&self, undecided: Undecided) {
        locked(&self.outcomes.undecided).push(undecided);
    }

    /// Completes the loads and schema changes that are due; called before every read of rows, labels or columns.
    pub(crate) fn settle(&self) {
        let now = self.clock.now();
        let decided: Vec<_> =
            locked(&self.outcomes.undecided).extract_if(.., |load| load.due_millis <= now).collect();
        decided.into_iter().for_each(|load| self.decide(load, now));
        let due: Vec<_> =
            locked(&self.outcomes.pending).extract_if(.., |load| load.due_millis <= now).collect();
        due.into_iter().for_each(|publication| self.show(publication, now));
        self.expire_open(now);
        self.advance_alters(now);
    }

    /// Ends transactions that were idle for too long or were ended by another call.
    fn expire_open(&self, now: i64) {
        let mut open = locked(&self.open);
        open.multi.values_mut().for_each(|multi| multi.expire(now));
        let over: Vec<_> = open.single.extract_if(|_, single| single.idle.is_over(now)).collect();
        drop(open);
        for ((database, _), single) in over {
            locked(&self.transactions).abort(&database, single.id, "timeout by txn manager", now);
        }
    }

    fn decide(&self, load: Undecided, now: i64) {
        let Undecided { publication, abort, .. } = load;
        let (database, id) = (publication.database.clone(), publication.transaction);
        match abort {
            Some(reason) => locked(&self.transactions).abort(&database, id, &reason, now),
            // A load that was aborted meanwhile can no longer commit.
            None => {
                let committed = locked(&self.transactions).commit(&database, id, now);
                if committed.is_ok() {
                    self.publish(publication);
                }
            }
        }
    }

    fn show(&self, publication: Publication, now: i64) {
        let Publication { database, transaction, parts, .. } = publication;
        let tables: BTreeSet<u64> = parts.iter().map(|part| part.table_id).collect();
        let parts = match self.mode() {
            Mode::Nothing => parts,
            Mode::Data => upserts_then_deletes(parts, self.settings().memtable_rows),
        };
        let mut catalog = locked(&self.catalog);
        for id in tables {
            if let Some(table) = catalog.table_by_id(&database, id) {
                table.count_version();
            }
        }
        for Part { table_id, epoch, columns, changes, manner } in parts {
            // When the table was dropped or truncated meanwhile, the rows of the load are dropped without an error
            // (§12.6).
            let table = catalog.table_by_id(&database, table_id).filter(|table| table.epoch == epoch);
            if let Some(table) = table {
                table.apply(&columns, changes, manner, now);
            }
        }
        locked(&self.transactions).publish(&database, transaction, now);
    }

    fn advance_alters(&self, now: i64) {
        let mut catalog = locked(&self.catalog);
        for (database, content) in &mut catalog.databases {
            if content.alter_jobs.iter().any(AlterJob::is_open) {
                content.advance_jobs(self.profile(), |job| self.surroundings(database, job, now));
            }
        }
    }

    /// The surroundings of a job; `None` when a fault holds the job or has ended it.
    fn surroundings(&self, database: &str, job: &mut AlterJob, now: i64) -> Option<Surroundings> {
        match self.faults.strike(Stage::Alter, &format!("{database}.{}", job.table)) {
            Some(Action::Fail { message }) => {
                job.cancel(&message, now);
                return None;
            }
            Some(Action::Hold) => return None,
            _ => {}
        }
        Some(Surroundings {
            now,
            step_millis: i64::try_from(self.settings().alter_millis / 2).unwrap_or(i64::MAX / 4),
            is_blocked: locked(&self.transactions).has_open(database, job.table_id, job.transaction),
            mode: self.mode(),
        })
    }
}
