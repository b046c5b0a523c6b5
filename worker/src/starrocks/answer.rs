//! What an answer to a load means for its rows.
//!
//! Pure. HTTP 200 says nothing: the JSON inside decides, and of its words only those that are known.
//! Whatever is not known leaves the outcome open, so that StarRocks is asked for the state of the label.
//! StarRocks' own words are quoted up to where a row's values could begin.

use crds::Reason;
use serde::Deserialize;

use super::load::{Answer, LoadError};
use crate::{
    fault::{Fault, Part},
    table::Table,
};

/// What is known of a load after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every row is durable.
    Committed,
    /// Nothing of it is, nor will be: the same load may be sent again.
    Again(Trouble),
    /// Nobody knows: the state of the label decides.
    Unclear(Trouble),
    /// Nothing of it is, nor will be, as long as certain rows are among it.
    Refused(Fault),
    /// These rows can never be loaded.
    Halt(Fault),
}

/// What stands in the way for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) hurdle: Hurdle,
    /// What is wrong, without row values.
    pub(super) message: String,
}

/// Kinds of trouble, by how long it takes to pass and who may mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hurdle {
    Unreachable,
    /// StarRocks is out of capacity.
    Busy,
    Authentication,
    Permission,
    /// An answer in words that are not known.
    Strange,
}

impl Trouble {
    pub(super) fn new(hurdle: Hurdle, message: impl Into<String>) -> Self {
        Self { hurdle, message: message.into() }
    }

    /// What to report while it lasts.
    pub(super) fn fault(&self, table: &Table) -> Fault {
        let of_table = || Part::Table(table.name.clone());
        let (part, reason, fix) = match self.hurdle {
            Hurdle::Unreachable => (
                Part::Sink,
                Reason::SinkUnreachable,
                "see that StarRocks runs and can be reached from the worker, its backends too",
            ),
            Hurdle::Busy => (
                of_table(),
                Reason::SinkBusy,
                "wait; if it lasts, give StarRocks more capacity or enlarge batch.minInterval",
            ),
            Hurdle::Authentication => (
                Part::Sink,
                Reason::SinkAuthenticationFailed,
                "give the job the right user and password, or mend them in StarRocks",
            ),
            Hurdle::Permission => {
                (of_table(), Reason::SinkPermissionDenied, "grant the user INSERT on the target table")
            }
            Hurdle::Strange => (
                of_table(),
                Reason::SinkProtocolViolation,
                "look into the logs of StarRocks; the load is tried again meanwhile",
            ),
        };
        Fault::retry(part, reason, &self.message, fix)
    }
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
pub(super) fn judge(answer: &Answer, table: &Table, sent: u64) -> Verdict {
    if answer.status == 401 || answer.status == 403 {
        return Verdict::Again(refused(&text_of(&answer.body)));
    }
    if let Err(trouble) = judge_access(answer) {
        return Verdict::Unclear(trouble);
    }
    match serde_json::from_slice::<Reply>(&answer.body) {
        Ok(reply) => judge_reply(&reply, table, sent),
        Err(_) => Verdict::Unclear(Trouble::new(
            Hurdle::Strange,
            "StarRocks' answer to a load is not the JSON expected",
        )),
    }
}

/// Whether the answer says anything at all.
pub(super) fn judge_access(answer: &Answer) -> Result<(), Trouble> {
    match answer.status {
        200 => Ok(()),
        401 | 403 => Err(refused(&text_of(&answer.body))),
        status => {
            let hurdle = if status >= 500 { Hurdle::Unreachable } else { Hurdle::Strange };
            Err(Trouble::new(hurdle, format!("StarRocks answered with HTTP status {status}")))
        }
    }
}

/// What the message of a failure means for a load of `sent` rows.
pub(super) fn judge_words(message: &str, table: &Table, sent: u64) -> Verdict {
    judge_failure(message, &Reply::default(), table, sent)
}

/// What a load without an answer means.
pub(super) fn judge_error(error: &LoadError) -> Verdict {
    let trouble = |hurdle| Trouble::new(hurdle, with_cause(error));
    match error {
        LoadError::NotBegun { .. } => Verdict::Again(trouble(Hurdle::Unreachable)),
        LoadError::BadRedirect { .. } => Verdict::Again(trouble(Hurdle::Strange)),
        LoadError::Unanswered { .. } => Verdict::Unclear(trouble(Hurdle::Unreachable)),
    }
}

fn judge_reply(reply: &Reply, table: &Table, sent: u64) -> Verdict {
    let message = reply.message.as_deref().unwrap_or_default();
    match (reply.status.as_deref().unwrap_or_default(), reply.existing.as_deref()) {
        ("Success" | "Publish Timeout", _) => judge_count(reply, table, sent),
        ("Label Already Exists", Some("FINISHED")) => Verdict::Committed,
        ("Label Already Exists", _) => {
            Verdict::Unclear(Trouble::new(Hurdle::Busy, "an earlier attempt of the load is not at its end"))
        }
        ("Fail" | "FAILED", _) => judge_failure(message, reply, table, sent),
        (status, _) => Verdict::Unclear(Trouble::new(
            Hurdle::Strange,
            format!("StarRocks answered {:?}", quotable(status)),
        )),
    }
}

/// A load that is committed with rows missing has lost them.
fn judge_count(reply: &Reply, table: &Table, sent: u64) -> Verdict {
    match reply.loaded.map(u64::try_from) {
        Some(Ok(loaded)) if loaded == sent => Verdict::Committed,
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

/// Kinds of failure, by what StarRocks says; the first that matches counts.
enum Failure {
    Rows,
    Schema,
    Missing,
    Access,
    Capacity,
    /// Aborted or about to be, but possibly committed.
    Timeout,
    Misuse,
}

const FAILURES: [(&str, Failure); 33] = [
    ("too many filtered rows", Failure::Rows),
    ("abnormal data more than max filter rate", Failure::Rows),
    ("primary key size exceed the limit", Failure::Rows),
    ("Only primary key table support partial update", Failure::Schema),
    ("partial update on table with sort key", Failure::Schema),
    ("not in partial update columns", Failure::Schema),
    ("unknown database", Failure::Missing),
    ("unknown table", Failure::Missing),
    ("Mapping column is not in table", Failure::Schema),
    ("Column has no default value", Failure::Schema),
    ("column has no source field", Failure::Schema),
    ("Duplicate column", Failure::Schema),
    ("Access denied", Failure::Access),
    ("no valid Basic authorization", Failure::Access),
    ("current running txns on db", Failure::Capacity),
    ("too many versions", Failure::Capacity),
    ("too large compaction score", Failure::Capacity),
    ("doing schema change", Failure::Capacity),
    ("Service is shutting down", Failure::Capacity),
    ("exceed http cuncurrent limit", Failure::Capacity),
    ("exceed http concurrent limit", Failure::Capacity),
    ("Memory of", Failure::Capacity),
    ("No backend alive", Failure::Capacity),
    ("Tablet lost replicas", Failure::Capacity),
    ("exceed the max size", Failure::Misuse),
    ("streaming_load_max_mb", Failure::Misuse),
    ("unknown data format", Failure::Misuse),
    ("Invalid timeout format", Failure::Misuse),
    ("Label format error", Failure::Misuse),
    ("There is no 100-continue header", Failure::Misuse),
    ("No partitions have data available for loading", Failure::Misuse),
    ("No rows were imported from upstream", Failure::Misuse),
    ("imeout", Failure::Timeout),
];

fn judge_failure(message: &str, reply: &Reply, table: &Table, sent: u64) -> Verdict {
    let words = quotable(message);
    let failure = FAILURES.iter().find(|(known, _)| message.contains(known)).map(|(_, failure)| failure);
    match failure {
        Some(Failure::Rows) => rows_refused(&words, reply, table, sent),
        Some(Failure::Schema) => halt(
            table,
            Reason::TargetIncompatible,
            format!("the target table {} does not fit table {}: {words}", table.target, table.name),
            "make the target's columns fit, or drop the target and let it be made and copied anew",
        ),
        Some(Failure::Missing) => halt(
            table,
            Reason::TargetIncompatible,
            format!("the target table {} is not there any more: {words}", table.target),
            "restart the job, which makes the table, and copy the rows anew",
        ),
        Some(Failure::Access) => Verdict::Again(refused(message)),
        Some(Failure::Capacity) => {
            Verdict::Again(Trouble::new(Hurdle::Busy, format!("StarRocks is out of capacity: {words}")))
        }
        Some(Failure::Timeout) => {
            Verdict::Unclear(Trouble::new(Hurdle::Busy, format!("a load ran out of time: {words}")))
        }
        Some(Failure::Misuse) => misuse(&words, table),
        None => Verdict::Unclear(Trouble::new(Hurdle::Strange, format!("StarRocks refused a load: {words}"))),
    }
}

fn rows_refused(words: &str, reply: &Reply, table: &Table, sent: u64) -> Verdict {
    let refused =
        reply.filtered.filter(|filtered| *filtered > 0).map_or("some".to_owned(), |count| count.to_string());
    let total = reply.total.filter(|total| *total > 0).map_or(sent.to_string(), |count| count.to_string());
    // What the address leads to holds row values, so it is named here and never fetched.
    let look = match &reply.error_url {
        Some(url) => format!(
            "read why at {}, then change the rows at the source or the target's columns",
            quotable(url)
        ),
        None => "change the rows at the source or the target's columns".to_owned(),
    };
    let message = format!("StarRocks refused {refused} of {total} rows for {}: {words}", table.target);
    Verdict::Refused(Fault::halt(Part::Table(table.name.clone()), Reason::RowsRefused, message, look))
}

fn misuse(words: &str, table: &Table) -> Verdict {
    halt(
        table,
        Reason::SinkProtocolViolation,
        format!("StarRocks did not take a load into {} as it was sent: {words}", table.target),
        "see that no proxy stands between the worker and StarRocks, and that batch.maxBytes is within its limits",
    )
}

/// Wrong credentials or a missing privilege, told apart by the words of the versions 3.2 to 4.1.
fn refused(message: &str) -> Trouble {
    let privilege = ["privilege", "permission", "grant"].iter().any(|word| message.contains(word));
    let bare = message.contains("Access denied.") || message.trim_end() == "Access denied";
    let hurdle = if privilege || bare { Hurdle::Permission } else { Hurdle::Authentication };
    Trouble::new(hurdle, format!("StarRocks refused a load: {}", quotable(message)))
}

/// The message of an answer that may be JSON.
fn text_of(body: &[u8]) -> String {
    let reply: Reply = serde_json::from_slice(body).unwrap_or_default();
    reply.message.unwrap_or_else(|| "access denied".to_owned())
}

fn halt(table: &Table, reason: Reason, message: String, fix: &str) -> Verdict {
    Verdict::Halt(Fault::halt(Part::Table(table.name.clone()), reason, message, fix))
}

const LONGEST_QUOTE: usize = 200;
/// After these, StarRocks may go on with a value or a whole row.
const VALUES_FOLLOW: [&str; 7] = ["{", "Row:", "row:", "Value '", "value '", "String '", "Decimal '"];

/// The part of a server's text that can be shown: short, on one line, without row values.
pub(super) fn quotable(text: &str) -> String {
    let end = VALUES_FOLLOW.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    let plain = text[..end].chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let short: String = plain.take(LONGEST_QUOTE).collect();
    short.trim().trim_end_matches('.').to_owned()
}

/// An error with what caused it.
pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
