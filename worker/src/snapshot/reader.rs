//! Reads rows of PostgreSQL, from the runtime: each use of the session runs on a thread of its own.

use std::collections::BTreeMap;

use crds::Reason;

use super::{
    gathering::Gathering,
    source::{Beginning, ReadRows, Source},
};
use crate::{
    change::Value,
    config::SourceConfig,
    fault::{Fault, Part},
    pipeline::{Batch, Operation, batch::key},
    postgres::{
        copy::{CopySession, Sight},
        visibility::Visibility,
    },
    schema_history::Blocks,
    table::{Table, TableName},
};

/// Opens the session when it is needed. After a fault the next use has a new one.
#[derive(Debug)]
pub struct Reader {
    config: SourceConfig,
    session: Option<CopySession>,
}

impl Source for SourceConfig {
    type Session = Reader;

    fn session(&self) -> Reader {
        Reader { config: self.clone(), session: None }
    }
}

impl Reader {
    /// Runs `work` with the session. Dropping the future does not end the work.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut CopySession) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (session, config) = (self.session.take(), self.config.clone());
        let worked = tokio::task::spawn_blocking(move || {
            let mut session = session.map_or_else(|| CopySession::open(&config), Ok)?;
            work(&mut session).map(|done| (session, done))
        });
        let (session, done) = worked.await.map_err(|_| panicked())??;
        self.session = Some(session);
        Ok(done)
    }
}

impl ReadRows for Reader {
    async fn begin(&mut self, table: &Table) -> Result<Beginning, Fault> {
        let table = table.clone();
        self.with(move |session| Ok(Beginning { earlier: session.earlier(&table)?, end: session.end()? }))
            .await
    }

    async fn sizes(&mut self, table: &Table) -> Result<BTreeMap<u32, u32>, Fault> {
        let table = table.clone();
        self.with(move |session| session.sizes(&table)).await
    }

    async fn blocks_of(&mut self, tables: Vec<TableName>) -> Result<BTreeMap<TableName, u64>, Fault> {
        self.with(move |session| session.blocks_of(&tables)).await
    }

    async fn visibility(&mut self) -> Result<Visibility, Fault> {
        self.with(CopySession::visibility).await
    }

    async fn enter(&mut self, name: &TableName, leaf: Option<u32>) -> Result<Sight, Fault> {
        let name = name.clone();
        self.with(move |session| session.enter(&name, leaf)).await
    }

    async fn leave(&mut self) -> Result<(), Fault> {
        self.with(CopySession::leave).await
    }

    async fn copy(
        &mut self,
        sight: Sight,
        columns: Vec<String>,
        blocks: Blocks,
        mut rows: Gathering,
    ) -> Result<bool, Fault> {
        self.with(move |session| {
            let all = session.copy(&sight, &columns, blocks, |row| rows.take(row))? && rows.finish();
            // After a part of its rows the session is of no use.
            if all { session.leave().map(|()| true) } else { Ok(false) }
        })
        .await
    }

    async fn rows_by_key(&mut self, changes: Batch, mut rows: Gathering) -> Result<(), Fault> {
        self.with(move |session| {
            let table = changes.table();
            let lacking = changes.rows().filter(|row| row.operation != Operation::Delete);
            let keys: Vec<Vec<Value<'_>>> = lacking.map(|row| key(table, row.values).collect()).collect();
            // The receiver is gone when a load has failed, and its fault is returned.
            session.rows_by_key(table, &keys, |row| {
                let _ = rows.take(row);
            })?;
            rows.finish();
            Ok(())
        })
        .await
    }

    async fn published_by_key(
        &mut self,
        sight: Sight,
        wanted: Batch,
        mut rows: Gathering,
    ) -> Result<(), Fault> {
        self.with(move |session| {
            let table = wanted.table();
            let keys: Vec<Vec<Value<'_>>> =
                wanted.rows().map(|row| key(table, row.values).collect()).collect();
            let mut is_taken = true;
            session.published_by_key(&sight, table, &keys, |row| is_taken &= rows.take(row).is_continue())?;
            // A row that was not taken counts as one that the source does not have: the caller must not believe it.
            if is_taken && rows.finish() { session.leave() } else { Err(stopped(table)) }
        })
        .await
    }

    fn end(&mut self) {
        self.session = None;
    }
}

fn stopped(table: &Table) -> Fault {
    let what = format!("the search for rows of {} in the source was stopped", table.name);
    Fault::retry(Part::Table(table.name.clone()), Reason::InternalDefect, what, "nothing: it is begun again")
}

fn panicked() -> Fault {
    Fault::retry(
        Part::Job,
        Reason::InternalDefect,
        "a thread that copies rows panicked",
        "report it with the worker's log; the worker tries again by itself",
    )
}
