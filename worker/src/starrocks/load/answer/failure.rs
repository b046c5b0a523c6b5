//! Classifies the error messages of failed loads, as StarRocks 3.2 to 4.1 words them.

use crds::Reason;

use super::{LoadOutcome, Reply, RetryClass, Retryable, halt, quotable};
use crate::{
    fault::{Fault, Part, take_anew},
    table::Table,
};

/// Classes of failure. The first entry of `FAILURES` that the message contains decides.
enum Failure {
    Rows,
    Schema,
    Missing,
    Access,
    Capacity,
    /// Probably aborted or about to be, but possibly committed.
    Timeout,
    Misuse,
}

const FAILURES: [(&str, Failure); 39] = [
    ("too many filtered rows", Failure::Rows),
    ("abnormal data more than max filter rate", Failure::Rows),
    ("primary key size exceed the limit", Failure::Rows),
    // One row that the JSON parser rejects (nesting, escapes, a number, a length) fails the whole body.
    ("Failed to parse json", Failure::Rows),
    ("Failed to iterate", Failure::Rows),
    ("in json document stream", Failure::Rows),
    ("beyond parser limit", Failure::Rows),
    ("The JSON document", Failure::Rows),
    ("parse error", Failure::Rows),
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

pub(crate) fn judge_failure(message: &str, reply: &Reply, table: &Table, sent: u64) -> LoadOutcome {
    let words = quotable(message);
    let failure = FAILURES.iter().find(|(known, _)| message.contains(known)).map(|(_, failure)| failure);
    match failure {
        Some(Failure::Rows) => rows_refused(&words, reply, table, sent),
        Some(Failure::Schema) => halt(
            table,
            Reason::TargetIncompatible,
            format!("the target table {} does not fit table {}: {words}", table.target, table.name),
            &format!("make the target's columns fit, or {}", take_anew(table)),
        ),
        Some(Failure::Missing) => halt(
            table,
            Reason::TargetLost,
            format!("the target table {} no longer exists: {words}", table.target),
            &take_anew(table),
        ),
        Some(Failure::Access) => LoadOutcome::Again(refused(message)),
        Some(Failure::Capacity) => LoadOutcome::Again(Retryable::new(
            RetryClass::Busy,
            format!("StarRocks is out of capacity: {words}"),
        )),
        Some(Failure::Timeout) => {
            LoadOutcome::Unclear(Retryable::new(RetryClass::Busy, format!("a load timed out: {words}")))
        }
        Some(Failure::Misuse) => misuse(&words, table),
        None => LoadOutcome::Unclear(Retryable::new(
            RetryClass::Strange,
            format!("StarRocks refused a load: {words}"),
        )),
    }
}

fn rows_refused(words: &str, reply: &Reply, table: &Table, sent: u64) -> LoadOutcome {
    let refused =
        reply.filtered.filter(|filtered| *filtered > 0).map_or("some".to_owned(), |count| count.to_string());
    let total = reply.total.filter(|total| *total > 0).map_or(sent.to_string(), |count| count.to_string());
    // The page at this address contains row values, so it is named here and never fetched.
    let look = match &reply.error_url {
        Some(url) => format!(
            "read why at {}, then change the rows at the source or the target's columns",
            quotable(url)
        ),
        None => "change the rows at the source or the target's columns".to_owned(),
    };
    let message = format!("StarRocks refused {refused} of {total} rows for {}: {words}", table.target);
    LoadOutcome::Refused(Fault::halt(Part::Table(table.name.clone()), Reason::RowsRefused, message, look))
}

fn misuse(words: &str, table: &Table) -> LoadOutcome {
    halt(
        table,
        Reason::SinkProtocolViolation,
        format!("StarRocks rejected the form of a load into {}: {words}", table.target),
        "see that no proxy stands between the worker and StarRocks, and that batch.maxBytes is within its limits",
    )
}

/// Wrong credentials or a missing privilege.
pub(crate) fn refused(message: &str) -> Retryable {
    let privilege = ["privilege", "permission", "grant"].iter().any(|word| message.contains(word));
    let bare = message.contains("Access denied.") || message.trim_end() == "Access denied";
    let retry_class = if privilege || bare { RetryClass::Permission } else { RetryClass::Authentication };
    Retryable::new(retry_class, format!("StarRocks refused a load: {}", quotable(message)))
}
