//! Judges the answer to a load: what it means for the rows.
//!
//! Pure. HTTP 200 means nothing by itself: the JSON body decides, and only by known words. Any other answer leaves the
//! outcome unclear, so that StarRocks is asked for the state of the label. Messages of StarRocks are quoted up to the
//! point where row values could begin.

mod failure;
mod retryable;

use crds::Reason;
use serde::Deserialize;

use self::failure::{judge_failure, refused};
pub(crate) use self::retryable::{RetryClass, Retryable};
pub(crate) use crate::starrocks::quote::{quotable, with_cause};
use crate::{
    fault::{Fault, Part},
    starrocks::http::frontend::{Answer, LoadError, object},
    table::Table,
};

/// What is known of a load after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoadOutcome {
    /// Every row is durable.
    Committed,
    /// No row is durable or will become durable: the same load may be sent again.
    Again(Retryable),
    /// Unknown: the state of the label decides.
    Unclear(Retryable),
    /// No row is durable, and none will be as long as the batch contains the refused rows.
    Refused(Fault),
    /// The rows cannot be loaded until a person acts.
    Halt(Fault),
}

/// The fields that are read, in the spellings of frontends and of backends.
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
    match object::<Reply>(&answer.body) {
        Some(reply) => judge_reply(&reply, table, sent),
        None => LoadOutcome::Unclear(Retryable::new(
            RetryClass::Strange,
            "StarRocks' answer to a load is not the expected JSON",
        )),
    }
}

/// Whether the HTTP status says that the request was accepted, so that the body is worth reading.
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

/// What an error message means for a load of `sent` rows.
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
            "an earlier attempt with the same label is still running in StarRocks",
        )),
        ("Fail" | "FAILED", _) => judge_failure(message, reply, table, sent),
        (status, _) => LoadOutcome::Unclear(Retryable::new(
            RetryClass::Strange,
            format!("StarRocks answered a load with the unknown status {:?}", quotable(status)),
        )),
    }
}

/// A committed load must have all its rows; otherwise rows are lost.
fn judge_count(reply: &Reply, table: &Table, sent: u64) -> LoadOutcome {
    match reply.loaded.map(u64::try_from) {
        Some(Ok(loaded)) if loaded == sent => LoadOutcome::Committed,
        Some(Ok(loaded)) => halt(
            table,
            Reason::RowsRefused,
            format!("StarRocks committed {loaded} of {sent} rows of a load into {}", table.target),
            "report this as a defect: StarRocks was told to refuse the whole load",
        ),
        _ => halt(
            table,
            Reason::SinkProtocolViolation,
            format!("StarRocks' answer does not say how many of {sent} rows it loaded into {}", table.target),
            "see that nothing between the worker and StarRocks alters its answers",
        ),
    }
}

/// The message of an answer that may not be JSON.
fn text_of(body: &[u8]) -> String {
    let reply: Reply = object(body).unwrap_or_default();
    reply.message.unwrap_or_else(|| "access denied".to_owned())
}

fn halt(table: &Table, reason: Reason, message: String, fix: &str) -> LoadOutcome {
    LoadOutcome::Halt(Fault::halt(Part::Table(table.name.clone()), reason, message, fix))
}

#[cfg(test)]
mod tests;
