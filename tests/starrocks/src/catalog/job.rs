//! An asynchronous change of a table's columns, as a job with states (§12.6).
//!
//! ```text
//!  PENDING ──► WAITING_TXN ──► RUNNING ──► (FINISHED_REWRITING ──►) FINISHED
//!     └─────────────┴─────────────┴──────────► CANCELLED
//! ```
//!
//! There are no timers: the state of a job is advanced whenever it is read.

use super::SchemaChange;
use crate::Mode;

/// One row of SHOW ALTER TABLE COLUMN.
#[derive(Debug, Clone)]
pub(crate) struct AlterJob {
    pub(crate) id: u64,
    pub(crate) table: String,
    pub(crate) table_id: u64,
    pub(crate) created_millis: i64,
    pub(crate) finished_millis: Option<i64>,
    pub(crate) index_id: u64,
    pub(crate) schema_version: u64,
    /// The job waits for the end of every load that began before this transaction id.
    pub(crate) transaction: u64,
    pub(crate) timeout_seconds: u64,
    pub(crate) state: JobState,
    /// When the job entered its state.
    pub(crate) since_millis: i64,
    pub(crate) message: String,
    /// The changes that are made to the table when the job finishes.
    pub(crate) changes: Vec<SchemaChange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    Pending,
    WaitingTxn,
    Running,
    /// Shared-data only: the rows are rewritten, and the new version is not yet published.
    FinishedRewriting,
    Finished,
    Cancelled,
}

impl JobState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::WaitingTxn => "WAITING_TXN",
            Self::Running => "RUNNING",
            Self::FinishedRewriting => "FINISHED_REWRITING",
            Self::Finished => "FINISHED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// The state outside a job that decides how far it advances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    pub(crate) now: i64,
    /// The duration of the pending state and of the running state, each.
    pub(crate) step_millis: i64,
    /// Whether a load that began before the job is still open.
    pub(crate) is_blocked: bool,
    pub(crate) mode: Mode,
}

impl AlterJob {
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, JobState::Finished | JobState::Cancelled)
    }

    /// Advances the job as far as time allows, and returns whether the table may be changed now.
    pub(crate) fn advance(&mut self, around: Surroundings) -> bool {
        let Surroundings { now, step_millis, is_blocked, mode } = around;
        let deadline = self.timeout_seconds.saturating_mul(1000);
        if now.saturating_sub(self.created_millis) > i64::try_from(deadline).unwrap_or(i64::MAX) {
            self.cancel("Timeout", now);
            return false;
        }
        if self.state == JobState::Pending && now >= self.since_millis + step_millis {
            self.enter(JobState::WaitingTxn, self.since_millis + step_millis);
        }
        if self.state == JobState::WaitingTxn {
            if is_blocked {
                self.since_millis = now;
                return false;
            }
            self.enter(JobState::Running, self.since_millis);
        }
        let worked = self.since_millis + step_millis;
        let half_worked = self.since_millis + step_millis / 2;
        match self.state {
            JobState::Running if now >= worked => true,
            JobState::Running if mode == Mode::Data && now >= half_worked => {
                // The second half of the running time is spent on publishing.
                self.enter(JobState::FinishedRewriting, worked);
                false
            }
            JobState::FinishedRewriting => now >= self.since_millis,
            _ => false,
        }
    }

    pub(crate) fn enter(&mut self, state: JobState, since_millis: i64) {
        (self.state, self.since_millis) = (state, since_millis);
    }

    pub(crate) fn finish(&mut self, now: i64) {
        self.enter(JobState::Finished, now);
        self.finished_millis = Some(now);
    }

    pub(crate) fn cancel(&mut self, reason: &str, now: i64) {
        self.enter(JobState::Cancelled, now);
        self.finished_millis = Some(now);
        reason.clone_into(&mut self.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> AlterJob {
        AlterJob {
            id: 1,
            table: "t".into(),
            table_id: 2,
            created_millis: 0,
            finished_millis: None,
            index_id: 3,
            schema_version: 1,
            transaction: 4,
            timeout_seconds: 86_400,
            state: JobState::Pending,
            since_millis: 0,
            message: String::new(),
            changes: Vec::new(),
        }
    }

    fn at(now: i64, is_blocked: bool, mode: Mode) -> Surroundings {
        Surroundings { now, step_millis: 100, is_blocked, mode }
    }

    #[test]
    fn s30_a_job_waits_for_open_loads_and_works_only_then() {
        let mut job = job();
        assert!(!job.advance(at(99, true, Mode::Nothing)));
        assert_eq!(job.state, JobState::Pending);
        assert!(!job.advance(at(5000, true, Mode::Nothing)));
        assert_eq!(job.state, JobState::WaitingTxn);
        assert!(!job.advance(at(5050, false, Mode::Nothing)), "half of the work is yet to do");
        assert_eq!(job.state, JobState::Running);
        assert!(job.advance(at(5100, false, Mode::Nothing)));
    }

    #[test]
    fn s30_a_job_in_shared_data_rewrites_before_it_publishes() {
        let mut job = job();
        assert!(!job.advance(at(150, false, Mode::Data)));
        assert_eq!(job.state, JobState::FinishedRewriting);
        assert!(job.advance(at(200, false, Mode::Data)));
    }

    #[test]
    fn s30_a_job_that_waits_a_day_is_cancelled() {
        let mut job = job();
        assert!(!job.advance(at(86_400_001, true, Mode::Nothing)));
        assert_eq!((job.state, job.message.as_str()), (JobState::Cancelled, "Timeout"));
    }
}
