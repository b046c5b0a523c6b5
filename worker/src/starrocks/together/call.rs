//! The calls of a transaction over several tables, and what their answers mean.
//!
//! The leading frontend serves begin, commit and rollback from its memory, and forgets an open transaction when it
//! restarts. It does not know the state of a label before the commit.

#[cfg(feature = "fuzz")]
pub(in crate::starrocks) mod fuzz;

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::{
    starrocks::{
        answer::{Hurdle, Trouble, Verdict, judge_access, judge_words, quotable},
        frontend::{Answer, Frontend},
        label::Label,
        load::LOAD_TIMEOUT,
        patience::Patience,
        state::Said,
    },
    table::Table,
};

/// A commit waits until what was loaded is visible.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(LOAD_TIMEOUT.as_secs() + 30);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A commit that was answered is known by its label soon, if it ever is.
const SOON: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Begin,
    Commit,
    Rollback,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::starrocks) enum Ended {
    Committed,
    /// Nothing of it is in the tables, nor will be.
    Aborted(String),
    /// Nobody knows it: it never was, or was lost before its commit, or ended long ago.
    Forgotten,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reply {
    #[serde(rename = "Status", alias = "status")]
    status: String,
    #[serde(rename = "Message", alias = "msg")]
    message: String,
}

/// The headers that tell where a call belongs.
pub(in crate::starrocks) fn place(database: &str, target: Option<&str>) -> String {
    let table = target.map_or_else(String::new, |target| format!("table: {target}\r\n"));
    format!("db: {database}\r\n{table}transaction_type: multi\r\n")
}

impl Frontend {
    /// `OK`, or what was said instead.
    pub(super) async fn transaction(
        &self,
        operation: Operation,
        label: &Label,
        timeout: Duration,
    ) -> Result<(), Trouble> {
        accepted(operation, &self.call(operation, label, timeout).await?)
    }

    async fn call(&self, operation: Operation, label: &Label, timeout: Duration) -> Result<Reply, Trouble> {
        let (name, limit) = match operation {
            Operation::Begin => ("begin", CALL_TIMEOUT),
            Operation::Commit => ("commit", COMMIT_TIMEOUT),
            Operation::Rollback => ("rollback", CALL_TIMEOUT),
        };
        let place = place(&self.database, None);
        let headers = format!("{place}label: {label}\r\ntimeout: {}\r\n", timeout.as_secs());
        let answer = self.request_with("POST", &format!("/api/transaction/{name}"), &headers, limit).await?;
        read(&answer)
    }

    /// What became of a commit, as the label tells; nothing when it does not tell soon.
    pub(super) async fn outcome(&self, label: &Label) -> Result<Option<Ended>, Trouble> {
        let begun = Instant::now();
        for attempt in 1.. {
            match self.said(label).await? {
                Said::Visible | Said::Committed => return Ok(Some(Ended::Committed)),
                Said::Aborted(reason) => return Ok(Some(Ended::Aborted(reason))),
                Said::Unknown => return Ok(None),
                Said::Running if begun.elapsed() > SOON => return Ok(None),
                Said::Running => sleep(Patience::ASKING.wait(attempt, label.as_str())).await,
            }
        }
        Ok(None)
    }

    /// Sees to it that the transaction is at its end, and visible if it was committed.
    pub(in crate::starrocks) async fn end(&self, label: &Label) -> Result<Ended, Trouble> {
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
            sleep(Patience::ASKING.wait(attempt, label.as_str())).await;
        }
        Ok(Ended::Forgotten)
    }

    /// Nothing when it is too late: it is being committed, or was.
    async fn roll_back(&self, label: &Label) -> Result<Option<Ended>, Trouble> {
        let reply = self.call(Operation::Rollback, label, CALL_TIMEOUT).await?;
        read_rollback(&reply)
    }
}

fn read(answer: &Answer) -> Result<Reply, Trouble> {
    judge_access(answer)?;
    serde_json::from_slice(&answer.body).map_err(|_| {
        Trouble::new(Hurdle::Strange, "StarRocks' answer to a transaction is not the JSON expected")
    })
}

fn accepted(operation: Operation, reply: &Reply) -> Result<(), Trouble> {
    if reply.status == "OK" {
        return Ok(());
    }
    Err(match judge_words(&reply.message, &crate::starrocks::claim::table(), 0) {
        Verdict::Again(trouble) | Verdict::Unclear(trouble) => trouble,
        _ => Trouble::new(Hurdle::Strange, said(operation, reply)),
    })
}

fn read_rollback(reply: &Reply) -> Result<Option<Ended>, Trouble> {
    let says = |words: &str| reply.message.contains(words);
    match reply.status.as_str() {
        "OK" if says("abort is already in progress") || says("rollback pending") => Ok(None),
        "OK" => Ok(Some(Ended::Aborted("rolled back".to_owned()))),
        _ if says("Can not abort") => Ok(None),
        _ if says("No transaction found") || says("Can't find the transaction") => Ok(Some(Ended::Forgotten)),
        _ => Err(Trouble::new(Hurdle::Strange, said(Operation::Rollback, reply))),
    }
}

fn said(operation: Operation, reply: &Reply) -> String {
    let operation = match operation {
        Operation::Begin => "begin",
        Operation::Commit => "commit",
        Operation::Rollback => "roll back",
    };
    format!(
        "StarRocks was asked to {operation} a transaction and said {:?}: {}",
        quotable(&reply.status),
        quotable(&reply.message)
    )
}

/// What an answer to a load within a transaction means for it.
pub(super) fn judge_load(answer: &Answer, table: &Table, sent: u64) -> Verdict {
    if let Err(trouble) = judge_access(answer) {
        return Verdict::Again(trouble);
    }
    match serde_json::from_slice::<Reply>(&answer.body) {
        Ok(reply) if reply.status == "OK" => Verdict::Committed,
        Ok(reply) => judge_words(&reply.message, table, sent),
        Err(_) => Verdict::Unclear(Trouble::new(
            Hurdle::Strange,
            "StarRocks' answer to a load is not the JSON expected",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: &str, message: &str) -> Reply {
        Reply { status: status.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn what_is_rolled_back_is_over_and_what_cannot_be_is_asked_for_again() {
        let aborted = || Some(Ended::Aborted("rolled back".to_owned()));
        for (status, message, expected) in [
            ("OK", "", aborted()),
            ("OK", "Transaction 7 has already aborted, label is l", aborted()),
            ("FAILED", "class X: Can not abort COMMITTED transaction 7, label is l", None),
            ("FAILED", "class X: Can not abort transaction 7 during committing, label is l", None),
            ("OK", "stream load l abort initiated, rollback pending (background retry will continue)", None),
            ("FAILED", "class X: No transaction found with db[d] and label[l]", Some(Ended::Forgotten)),
        ] {
            assert_eq!(read_rollback(&reply(status, message)), Ok(expected), "{message}");
        }
        assert!(read_rollback(&reply("FAILED", "class X: the moon is full")).is_err());
    }

    #[test]
    fn a_load_is_taken_only_when_starrocks_says_so() {
        let table = crate::starrocks::claim::table();
        let judged = |status, body: &str| {
            let answer = Answer { status, body: body.as_bytes().to_vec() };
            judge_load(&answer, &table, 1)
        };
        assert_eq!(judged(200, r#"{"Status": "OK", "Message": ""}"#), Verdict::Committed);
        for (status, body) in [
            (200, r#"{"Status": "TXN_IN_PROCESSING", "Message": "Transaction in processing"}"#),
            (200, r#"{"Message": ""}"#),
            (200, "<html>"),
            (401, r#"{"Status": "OK"}"#),
            (500, r#"{"Status": "OK"}"#),
        ] {
            let verdict = judged(status, body);
            assert!(matches!(verdict, Verdict::Again(_) | Verdict::Unclear(_)), "{body}: {verdict:?}");
        }
        let refused = judged(200, r#"{"Status": "ANALYSIS_ERROR", "Message": "too many filtered rows"}"#);
        assert!(matches!(refused, Verdict::Refused(_)), "{refused:?}");
    }
}
