//! The calls of a transaction over one table, and what their answers mean.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    starrocks::{
        http::frontend::{Address, Answer, Frontend, object},
        load::{
            answer::{LoadOutcome, RetryClass, Retryable, judge_access, judge_words, quotable},
            label::Label,
            request::{LOAD_TIMEOUT, bulk_headers},
        },
    },
    table::Table,
};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A commit waits until the rows are visible, at most for the transaction's time-out.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(LOAD_TIMEOUT.as_secs() + 30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Begin,
    Commit,
    Rollback,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Done; a commit tells how many rows it has.
    Ok {
        loaded: Option<u64>,
    },
    /// StarRocks, or what stands before it, has no such call.
    Lacking,
    /// Because of the rows, the table or the columns: single batches will tell.
    Refused(String),
    Failed(Retryable),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reply {
    #[serde(rename = "Status", alias = "status")]
    status: String,
    #[serde(rename = "Message", alias = "msg")]
    message: String,
    #[serde(rename = "NumberLoadedRows")]
    loaded: Option<u64>,
}

impl Frontend {
    /// Sends one call; also returns the server that has answered, the transaction's backend.
    pub(super) async fn bulk(
        &self,
        operation: Operation,
        label: &Label,
        table: &Table,
    ) -> Result<(Said, Address), Retryable> {
        let (name, limit) = match operation {
            Operation::Begin => ("begin", CALL_TIMEOUT),
            Operation::Commit => ("commit", COMMIT_TIMEOUT),
            Operation::Rollback => ("rollback", CALL_TIMEOUT),
        };
        let (path, place) = (format!("/api/transaction/{name}"), bulk_headers(&self.database, &table.target));
        let headers = format!("{place}label: {label}\r\ntimeout: {}\r\n", LOAD_TIMEOUT.as_secs());
        let (answer, at) = self.request_followed("POST", &path, &headers, limit).await?;
        Ok((judge(&answer, table), at))
    }
}

/// What an answer to a call, or to a load, means.
pub(super) fn judge(answer: &Answer, table: &Table) -> Said {
    if matches!(answer.status, 404 | 405 | 501) {
        return Said::Lacking;
    }
    if let Err(retryable) = judge_access(answer) {
        return Said::Failed(retryable);
    }
    let Some(Reply { status, message, loaded }) = object(&answer.body) else {
        let words = "StarRocks' answer to a transaction call is not the expected JSON";
        return Said::Failed(Retryable::new(RetryClass::Strange, words));
    };
    match status.as_str() {
        "OK" | "PUBLISH_TIMEOUT" => Said::Ok { loaded },
        _ if message.contains("Unknown transaction operation") => Said::Lacking,
        _ => judge_message(&message, table),
    }
}

fn judge_message(message: &str, table: &Table) -> Said {
    let says = |words: &str| message.contains(words);
    if says("not exists") || says("Can't find the transaction") || says("No transaction found") {
        let words =
            "StarRocks no longer knows the open transaction (a server restarted, or it has timed out)";
        return Said::Failed(Retryable::new(RetryClass::Unreachable, words));
    }
    match judge_words(message, table, 0) {
        LoadOutcome::Again(retryable) | LoadOutcome::Unclear(retryable) => Said::Failed(retryable),
        _ => Said::Refused(quotable(message)),
    }
}
