//! What an answer to a load means for its rows.
//!
//! Pure. HTTP 200 says nothing: the JSON inside decides, and of its words only those that are known.
//! Whatever is not known leaves the outcome open, so that StarRocks is asked for the state of the label.
//! StarRocks' own words are quoted up to where a row's values could begin.

mod failure;
mod retryable;

use crds::Reason;
use serde::Deserialize;

use self::failure::{judge_failure, refused};
pub(crate) use self::retryable::{RetryClass, Retryable};
pub(crate) use crate::starrocks::quote::{quotable, with_cause};
use crate::{
    fault::{Fault, Part},
    starrocks::http::frontend::{Answer, LoadError},
    table::Table,
};

/// What is known of a load after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoadOutcome {
    /// Every row is durable.
    Committed,
    /// Nothing of it is, nor will be: the same load may be sent again.
    Again(Retryable),
    /// Nobody knows: the state of the label decides.
    Unclear(Retryable),
    /// Nothing of it is, nor will be, as long as certain rows are among it.
    Refused(Fault),
    /// These rows can never be loaded.
    Halt(Fault),
}

/// The fields that are read, in both spellings that frontends and backends use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reply {
    #[serde(rename = "Status", alias = "status")]
    status: Option<String>,
    #[serde(rename = "Message", alias = "msg")]
    message: Option<String>,
    #[serde(rename = "ExistingJobStatus")]
    existing: Option<String>,
    #[serde(rename = "NumberTotalRows")]
    total: Option<i64>,
    #[serde(rename = "NumberLoadedRows")]
    loaded: Option<i64>,
    #[serde(rename = "NumberFilteredRows")]
    filtered: Option<i64>,
    #[serde(rename = "ErrorURL")]
    error_url: Option<String>,
}

/// What an answer to a load of `sent` rows means.
pub(crate) fn judge(answer: &Answer, table: &Table, sent: u64) -> LoadOutcome {
    if answer.status == 401 || answer.status == 403 {
        return LoadOutcome::Again(refused(&text_of(&answer.body)));
    }
    if let Err(retryable) = judge_access(answer) {
        return LoadOutcome::Unclear(retryable);
    }
    match serde_json::from_slice::<Reply>(&answer.body) {
        Ok(reply) => judge_reply(&reply, table, sent),
        Err(_) => LoadOutcome::Unclear(Retryable::new(
            RetryClass::Strange,
            "StarRocks' answer to a load is not the JSON expected",
        )),
    }
}

/// Whether the answer says anything at all.
pub(crate) fn judge_access(answer: &Answer) -> Result<(), Retryable> {
    match answer.status {
        200 => Ok(()),
        401 | 403 => Err(refused(&text_of(&answer.body))),
        status => {
            let retry_class = if status >= 500 { RetryClass::Unreachable } else { RetryClass::Strange };
            Err(Retryable::new(retry_class, format!("StarRocks answered with HTTP status {status}")))
        }
    }
}

/// What the message of a failure means for a load of `sent` rows.
pub(crate) fn judge_words(message: &str, table: &Table, sent: u64) -> LoadOutcome {
    judge_failure(message, &Reply::default(), table, sent)
}

/// What a load without an answer means.
pub(crate) fn judge_error(error: &LoadError) -> LoadOutcome {
    let retryable = |retry_class| Retryable::new(retry_class, with_cause(error));
    match error {
        LoadError::NotBegun { .. } => LoadOutcome::Again(retryable(RetryClass::Unreachable)),
        LoadError::BadRedirect { .. } => LoadOutcome::Again(retryable(RetryClass::Strange)),
        LoadError::Unanswered { .. } => LoadOutcome::Unclear(retryable(RetryClass::Unreachable)),
    }
}

fn judge_reply(reply: &Reply, table: &Table, sent: u64) -> LoadOutcome {
    let message = reply.message.as_deref().unwrap_or_default();
    match (reply.status.as_deref().unwrap_or_default(), reply.existing.as_deref()) {
        ("Success" | "Publish Timeout", _) => judge_count(reply, table, sent),
        ("Label Already Exists", Some("FINISHED")) => LoadOutcome::Committed,
        ("Label Already Exists", _) => LoadOutcome::Unclear(Retryable::new(
            RetryClass::Busy,
            "an earlier attempt of the load is not at its end",
        )),
        ("Fail" | "FAILED", _) => judge_failure(message, reply, table, sent),
        (status, _) => LoadOutcome::Unclear(Retryable::new(
            RetryClass::Strange,
            format!("StarRocks answered {:?}", quotable(status)),
        )),
    }
}

/// A load that is committed with rows missing has lost them.
fn judge_count(reply: &Reply, table: &Table, sent: u64) -> LoadOutcome {
    match reply.loaded.map(u64::try_from) {
        Some(Ok(loaded)) if loaded == sent => LoadOutcome::Committed,
        Some(Ok(loaded)) => halt(
            table,
            Reason::RowsRefused,
            format!("StarRocks took {loaded} of {sent} rows of a load into {}", table.target),
            "report this as a defect: StarRocks was told to refuse the whole load",
        ),
        _ => halt(
            table,
            Reason::SinkProtocolViolation,
            format!("StarRocks did not say how many of {sent} rows it loaded into {}", table.target),
            "see that nothing between the worker and StarRocks alters its answers",
        ),
    }
}

/// The message of an answer that may be JSON.
fn text_of(body: &[u8]) -> String {
    let reply: Reply = serde_json::from_slice(body).unwrap_or_default();
    reply.message.unwrap_or_else(|| "access denied".to_owned())
}

fn halt(table: &Table, reason: Reason, message: String, fix: &str) -> LoadOutcome {
    LoadOutcome::Halt(Fault::halt(Part::Table(table.name.clone()), reason, message, fix))
}

#[cfg(test)]
mod tests;
