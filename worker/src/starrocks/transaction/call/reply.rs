//! What the answers to the calls of a transaction over several tables mean.
//!
//! Pure.

use serde::Deserialize;

use super::Operation;
use crate::{
    starrocks::{
        http::frontend::{Answer, object},
        load::answer::{LoadOutcome, RetryClass, Retryable, judge_access, judge_words, quotable},
    },
    table::Table,
};

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::starrocks) enum Ended {
    Committed,
    /// No row is in the tables, or will be.
    Aborted(String),
    /// StarRocks does not know it: it never began, or was lost before its commit, or ended long ago.
    Forgotten,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reply {
    #[serde(rename = "Status", alias = "status")]
    status: String,
    #[serde(rename = "Message", alias = "msg")]
    message: String,
}

pub(super) fn read(answer: &Answer) -> Result<Reply, Retryable> {
    judge_access(answer)?;
    object(&answer.body).ok_or_else(|| {
        Retryable::new(
            RetryClass::Strange,
            "StarRocks' answer to a transaction call is not the expected JSON",
        )
    })
}

/// Begin and commit concern no single table, so every failure is retryable except that rows were refused.
pub(super) fn accepted(operation: Operation, reply: &Reply) -> LoadOutcome {
    if reply.status == "OK" {
        return LoadOutcome::Committed;
    }
    match judge_step_words(&reply.message, &crate::starrocks::bookkeeping::claim::table(), 0) {
        refused @ LoadOutcome::Refused(_) => refused,
        LoadOutcome::Again(retryable) => LoadOutcome::Again(retryable),
        LoadOutcome::Unclear(retryable) if retryable.retry_class != RetryClass::Strange => {
            LoadOutcome::Unclear(retryable)
        }
        _ => LoadOutcome::Unclear(Retryable::new(RetryClass::Strange, said(operation, reply))),
    }
}

/// What the error message of a failed call or load means. Transactions over several tables have messages of their own.
fn judge_step_words(message: &str, table: &Table, sent: u64) -> LoadOutcome {
    let says = |words: &str| message.contains(words);
    if is_unknown(message) {
        LoadOutcome::Again(Retryable::new(
            RetryClass::Unreachable,
            "StarRocks no longer knows the open transaction (its leading frontend restarted, or another one leads now); it is \
             begun again",
        ))
    } else if says("CANCELLED transaction") || says("ABORTED transaction") {
        LoadOutcome::Again(Retryable::new(
            RetryClass::Busy,
            "StarRocks cancelled the open transaction; it is begun again",
        ))
    } else {
        judge_words(message, table, sent)
    }
}

/// Whether StarRocks does not know the label. `does not exist` alone is not enough: a missing database says it too.
fn is_unknown(message: &str) -> bool {
    let says = |words: &str| message.contains(words);
    let task = says("stream load task") && says("does not exist");
    task || says("No transaction found") || says("Can't find the transaction")
}

pub(super) fn read_rollback(reply: &Reply) -> Result<Option<Ended>, Retryable> {
    let says = |words: &str| reply.message.contains(words);
    match reply.status.as_str() {
        "OK" if says("abort is already in progress") || says("rollback pending") => Ok(None),
        "OK" => Ok(Some(Ended::Aborted("rolled back".to_owned()))),
        _ if says("Can not abort") => Ok(None),
        _ if is_unknown(&reply.message) => Ok(Some(Ended::Forgotten)),
        _ => Err(Retryable::new(RetryClass::Strange, said(Operation::Rollback, reply))),
    }
}

fn said(operation: Operation, reply: &Reply) -> String {
    let operation = match operation {
        Operation::Begin => "begin",
        Operation::Commit => "commit",
        Operation::Rollback => "roll back",
    };
    format!(
        "StarRocks failed to {operation} a transaction: status {:?}: {}",
        quotable(&reply.status),
        quotable(&reply.message)
    )
}

/// What an answer to a load within a transaction means for it.
pub(in crate::starrocks::transaction) fn judge_load(
    answer: &Answer,
    table: &Table,
    sent: u64,
) -> LoadOutcome {
    if let Err(retryable) = judge_access(answer) {
        return LoadOutcome::Again(retryable);
    }
    match object::<Reply>(&answer.body) {
        Some(reply) if reply.status == "OK" => LoadOutcome::Committed,
        Some(reply) => judge_step_words(&reply.message, table, sent),
        None => LoadOutcome::Unclear(Retryable::new(
            RetryClass::Strange,
            "StarRocks' answer to a load is not the expected JSON",
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
            ("FAILED", "class X: stream load task<l>does not exist", Some(Ended::Forgotten)),
            ("FAILED", "class X: stream load task l does not exist", Some(Ended::Forgotten)),
        ] {
            assert_eq!(read_rollback(&reply(status, message)), Ok(expected), "{message}");
        }
        for strange in ["class X: the moon is full", "class X: Database[d] does not exist."] {
            assert!(read_rollback(&reply("FAILED", strange)).is_err(), "{strange}");
        }
    }

    #[test]
    fn a_step_that_a_frontend_has_forgotten_is_begun_anew_and_told_as_that() {
        for words in
            ["class X: stream load task l does not exist", "class X: stream load task<l>does not exist"]
        {
            let LoadOutcome::Again(retryable) = accepted(Operation::Commit, &reply("FAILED", words)) else {
                panic!("{words}")
            };
            assert_eq!(retryable.retry_class, RetryClass::Unreachable);
            let body = format!(r#"{{"Status": "FAILED", "Message": "{words}"}}"#);
            let answer = Answer { status: 200, body: body.into_bytes() };
            let judged = judge_load(&answer, &crate::starrocks::bookkeeping::claim::table(), 1);
            assert!(matches!(judged, LoadOutcome::Again(_)), "{judged:?}");
        }
        let database = accepted(Operation::Commit, &reply("FAILED", "class X: Database[d] does not exist."));
        assert!(matches!(database, LoadOutcome::Unclear(_)), "{database:?}");
    }

    #[test]
    fn the_error_of_a_commit_is_quoted_without_what_stands_round_it() {
        let words = "class X: STREAM_LOAD_TASK:7, label{l}, error_msg{cancel stream task for exception: disk is full}";
        let LoadOutcome::Unclear(retryable) = accepted(Operation::Commit, &reply("FAILED", words)) else {
            panic!()
        };
        assert!(
            retryable.message.ends_with(": cancel stream task for exception: disk is full"),
            "{retryable:?}"
        );
        let filtered =
            "class X: STREAM_LOAD_TASK:7, label{l}, error_msg{abnormal data more than max filter rate}";
        let refused = accepted(Operation::Commit, &reply("FAILED", filtered));
        assert!(matches!(refused, LoadOutcome::Refused(_)), "{refused:?}");
    }

    #[test]
    fn a_load_is_taken_only_when_starrocks_says_so() {
        let table = crate::starrocks::bookkeeping::claim::table();
        let judged = |status, body: &str| {
            let answer = Answer { status, body: body.as_bytes().to_vec() };
            judge_load(&answer, &table, 1)
        };
        assert_eq!(judged(200, r#"{"Status": "OK", "Message": ""}"#), LoadOutcome::Committed);
        for (status, body) in [
            (200, r#"{"Status": "TXN_IN_PROCESSING", "Message": "Transaction in processing"}"#),
            (200, r#"{"Message": ""}"#),
            (200, "<html>"),
            (401, r#"{"Status": "OK"}"#),
            (500, r#"{"Status": "OK"}"#),
        ] {
            let outcome = judged(status, body);
            assert!(
                matches!(outcome, LoadOutcome::Again(_) | LoadOutcome::Unclear(_)),
                "{body}: {outcome:?}"
            );
        }
        let refused = judged(200, r#"{"Status": "ANALYSIS_ERROR", "Message": "too many filtered rows"}"#);
        assert!(matches!(refused, LoadOutcome::Refused(_)), "{refused:?}");
    }
}
