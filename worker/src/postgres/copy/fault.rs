//! Maps what the server refuses about a table that is copied to a fault of that table alone.

use crds::Reason;

use crate::{
    config::{CopyMemory, SourceConfig},
    fault::{Fault, Part},
    postgres::{error::SourceError, sql},
    table::TableName,
};

/// The fault of one table, where the server has refused something about it.
pub(super) fn of_table(error: SourceError, config: &SourceConfig, name: &TableName) -> Fault {
    if let (SourceError::LargeRow(bytes), Some(memory)) = (&error, config.copy_memory) {
        return too_large(name, *bytes, memory);
    }
    let is_of_server = matches!(error, SourceError::Server(_));
    let known = error.code().and_then(|code| refused(code, name));
    let fault = known.unwrap_or_else(|| error.fault(config));
    if is_of_server { Fault { part: Part::Table(name.clone()), ..fault } } else { fault }
}

/// By SQLSTATE, where it means something else for a table than for a session.
fn refused(code: &str, name: &TableName) -> Option<Fault> {
    let part = || Part::Table(name.clone());
    match code {
        // The table, or its schema, does not exist.
        "42P01" | "3F000" => Some(Fault::retry(
            part(),
            Reason::SourceTableMissing,
            format!("{name} does not exist any more"),
            "create it again, or take it out of the job",
        )),
        "55P03" => Some(Fault::retry(
            part(),
            Reason::SourceTableLocked,
            format!("another session holds a lock on {name} under which it cannot be read, or waits for one"),
            format!(
                "wait for that session or end it: SELECT pid, mode, granted FROM pg_locks WHERE relation = {}::regclass",
                sql::literal(&sql::table(name))
            ),
        )),
        // A standby ends queries that keep it from replaying what its primary has removed.
        "40001" | "40P01" => Some(Fault::retry(
            part(),
            Reason::SourceQueryCancelled,
            format!("a standby has ended the reading of {name}, which kept it from following its primary"),
            "set hot_standby_feedback = on at the standby, or raise its max_standby_streaming_delay",
        )),
        "57014" => Some(Fault::retry(
            part(),
            Reason::SourceQueryCancelled,
            format!("the reading of {name} was cancelled at the server"),
            "see in the server's log who cancels it, and let it run",
        )),
        _ => None,
    }
}

fn too_large(name: &TableName, row: u64, memory: CopyMemory) -> Fault {
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    let (size, limit) = (mebibytes(row), mebibytes(memory.limit));
    let asked = mebibytes(memory.needed(row));
    let message = format!(
        "a row of {name} is {size} MiB large, and cannot be copied within the {limit} MiB of memory that the worker may \
         take in all"
    );
    let fix = format!(
        "give the worker a memory limit of {asked} MiB or more (worker.resources.limits.memory); a smaller \
         snapshot.parallelism needs less"
    );
    Fault::retry(Part::Table(name.clone()), Reason::RowTooLarge, message, fix)
}
