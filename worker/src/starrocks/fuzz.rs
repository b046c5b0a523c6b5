//! Entry points for the fuzzer: all input from StarRocks and from a state directory.

use std::path::Path;

use tokio::net::TcpStream;

pub use super::transaction::call::fuzz::Step;
use super::{
    bookkeeping::{claim::Claim, schema_histories},
    http::{
        connection::{Connection, Head, WireError},
        frontend::{Answer, Frontend, redirect},
    },
    load::{
        answer::{LoadOutcome, judge},
        journal::Journal,
        label_state::{Said, read_state},
    },
    schema::{self, transaction_support},
    sql::{Rows, Session},
    transaction::call,
};
use crate::{
    config::{Deletes, SinkConfig},
    schema_history::TargetColumn,
    table::Table,
};

/// How an answer was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The load of `sent` rows counts as durable.
    pub committed: bool,
    /// The label counts as committed.
    pub known: bool,
}

/// Reads an answer in these bytes to a load of `sent` rows. `stream` is at its end.
pub async fn exchange(
    stream: TcpStream,
    bytes: &[u8],
    config: &SinkConfig,
    table: &Table,
    sent: u64,
) -> Result<Taken, String> {
    let mut connection = Connection::having_received(stream, bytes.to_vec());
    let (head, body) = read(&mut connection).await.map_err(|error| error.to_string())?;
    if let Some(location) = redirect(&head) {
        let frontend = Frontend::anonymous(config);
        let next = frontend.follow(&frontend.address(), location).map_err(|error| error.to_string())?;
        return Err(format!("to {next}"));
    }
    Ok(answer(head.status, body, table, sent))
}

async fn read(connection: &mut Connection) -> Result<(Head, Vec<u8>), WireError> {
    loop {
        let head = connection.read_head().await?;
        if head.status >= 200 {
            let body = connection.read_body(&head).await?;
            return Ok((head, body));
        }
    }
}

/// Judges an answer whose HTTP has been read.
pub fn answer(status: u16, body: Vec<u8>, table: &Table, sent: u64) -> Taken {
    let known = matches!(read_state(status, &body), Ok(Said::Committed | Said::Visible));
    let outcome = judge(&Answer { status, body }, table, sent);
    if let LoadOutcome::Again(retryable) | LoadOutcome::Unclear(retryable) = &outcome {
        retryable.fault(table);
    }
    Taken { committed: outcome == LoadOutcome::Committed, known }
}

/// Judges an answer to a call of a step.
pub fn step(status: u16, body: Vec<u8>, table: &Table, sent: u64) -> Step {
    call::fuzz::step(&Answer { status, body }, table, sent)
}

/// Whether a StarRocks of this version and with this SHOW CREATE TABLE supports steps.
pub fn takes_steps(version: &str, create: &str) -> bool {
    transaction_support::check(version, create, Deletes::Hard).is_ok()
}

/// Reads rows as the catalogue, the histories and the claims.
pub fn catalogue(table: &Table, create: &str, rows: Rows, notes: &Path) {
    for row in &rows {
        // A history that cannot be read is a fault.
        let _history = schema_histories::entry(row).is_ok();
        let (key, claim) = Claim::read(row);
        claim.prior_run(&key, "s", Some(notes));
    }
    let held = |row: &Vec<Option<String>>| {
        let text = |place: usize| row.get(place).cloned().flatten();
        Some(TargetColumn::new(text(2)?.parse().ok()?, text(0)?, text(1)?))
    };
    let held: Vec<_> = rows.iter().filter_map(held).collect();
    // Either result is valid; it must not panic.
    let _completed = schema::fuzz::completed(table, create, rows, &held).is_ok();
}

/// Opens a session, runs a statement and counts its rows.
pub async fn session(config: &SinkConfig) -> Result<usize, String> {
    let mut session = Session::open(config).await.map_err(|error| format!("{:?}", error.fault()))?;
    let rows = session.run("SHOW DATABASES", "list databases").await;
    session.close().await;
    rows.map(|rows| rows.len()).map_err(|error| format!("{:?}", error.fault()))
}

/// The number of loads in a journal directory, and whether it has a position.
pub fn notes(directory: &Path) -> std::io::Result<(usize, bool)> {
    let journal = Journal::open(directory)?;
    Ok((journal.labels().len(), Journal::left(directory).is_some()))
}
