//! The calls of a transaction over several tables: begin, commit, rollback. What their answers mean is in [`reply`].
//!
//! The leading frontend keeps an open transaction in memory only and forgets it when it restarts. It does not know the
//! state of a label before the commit.

#[cfg(feature = "fuzz")]
pub(in crate::starrocks) mod fuzz;
mod reply;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(in crate::starrocks) use self::reply::Ended;
pub(super) use self::reply::judge_load;
use self::reply::{Reply, accepted, read, read_rollback};
use crate::{
    backoff::Backoff,
    starrocks::{
        http::frontend::Frontend,
        load::{
            answer::{LoadOutcome, Retryable},
            label::Label,
            label_state::Said,
            request::{LOAD_TIMEOUT, transaction_headers},
        },
    },
};

/// A commit waits until the rows are visible, at most for the load's time-out.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(LOAD_TIMEOUT.as_secs() + 30);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for the label's state after a commit was answered.
const SOON: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Begin,
    Commit,
    Rollback,
}

impl Frontend {
    /// Sends one call. `LoadOutcome::Committed` here means the answer was `OK`, whichever operation it was.
    pub(super) async fn transaction(
        &self,
        operation: Operation,
        label: &Label,
        timeout: Duration,
    ) -> LoadOutcome {
        match self.call(operation, label, timeout).await {
            Ok(reply) => accepted(operation, &reply),
            Err(retryable) => LoadOutcome::Unclear(retryable),
        }
    }

    async fn call(&self, operation: Operation, label: &Label, timeout: Duration) -> Result<Reply, Retryable> {
        let (name, limit) = match operation {
            Operation::Begin => ("begin", CALL_TIMEOUT),
            Operation::Commit => ("commit", COMMIT_TIMEOUT),
            Operation::Rollback => ("rollback", CALL_TIMEOUT),
        };
        let place = transaction_headers(&self.database, None);
        let headers = format!("{place}label: {label}\r\ntimeout: {}\r\n", timeout.as_secs());
        let answer = self.request_with("POST", &format!("/api/transaction/{name}"), &headers, limit).await?;
        read(&answer)
    }

    /// The outcome of a commit, by the label's state; none when the state is not final within `SOON`.
    pub(super) async fn outcome(&self, label: &Label) -> Result<Option<Ended>, Retryable> {
        let begun = Instant::now();
        for attempt in 1.. {
            match self.said(label).await? {
                Said::Visible | Said::Committed => return Ok(Some(Ended::Committed)),
                Said::Aborted(reason) => return Ok(Some(Ended::Aborted(reason))),
                Said::Unknown => return Ok(None),
                Said::Running if begun.elapsed() > SOON => return Ok(None),
                Said::Running => sleep(Backoff::ASKING.wait(attempt, label.as_str())).await,
            }
        }
        Ok(None)
    }

    /// Waits until the transaction has ended, rolling it back if it is open; a committed one is visible then.
    pub(in crate::starrocks) async fn end(&self, label: &Label) -> Result<Ended, Retryable> {
        for attempt in 1.. {
            match self.said(label).await? {
                Said::Visible => return Ok(Ended::Committed),
                Said::Aborted(reason) => return Ok(Ended::Aborted(reason)),
                Said::Committed => {}
                Said::Running | Said::Unknown => {
                    if let Some(ended) = self.roll_back(label).await? {
                        return Ok(ended);
                    }
                }
            }
            sleep(Backoff::ASKING.wait(attempt, label.as_str())).await;
        }
        Ok(Ended::Forgotten)
    }

    /// Rolls back; none when that is too late because the transaction is being committed or was.
    async fn roll_back(&self, label: &Label) -> Result<Option<Ended>, Retryable> {
        let reply = self.call(Operation::Rollback, label, CALL_TIMEOUT).await?;
        read_rollback(&reply)
    }
}
