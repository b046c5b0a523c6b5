//! The target database and its tables: inspected, created when missing, altered to match the source.
//!
//! ```text
//! database ─► each table: ─┬─ missing ─► CREATE
//!                          └─ there ─► columns, history ─► next step ─► ALTER ─► columns read back ─► next step …
//! ```
//!
//! A change counts as done when the columns read back show it and no ALTER of the table is unfinished, not when the
//! statement returns. Nothing is ever dropped or narrowed.

mod complete;
mod difference;
mod earlier;
mod fill;
#[cfg(feature = "fuzz")]
pub(super) mod fuzz;
pub(super) mod header_room;
mod key;
mod look;
pub(crate) mod name_check;
mod names;
mod standing;
mod start;
mod statement;
mod target_check;
pub(super) mod transaction_support;
mod truncate;

use std::{collections::HashMap, sync::Arc};

use tracing::info;

pub(super) use self::truncate::truncate;
use self::{
    complete::prepare_table,
    look::show_create,
    name_check::{check_database, check_table},
    start::Start,
};
pub use self::{
    look::{Shown, show},
    target_check::{TargetCheck, look},
};
use super::{
    bookkeeping::{
        checkpoint, claim,
        owners::{self, Claimant, Rival},
        schema_histories::{self, SchemaHistories},
    },
    dead_letter::row,
    sql::{Session, SqlError, lists, literal, quoted},
};
use crate::{
    change::Aim,
    config::{Consistency, OnRefusedRow, SinkConfig},
    fault::{Course, Fault, Part},
    lsn::Lsn,
    schema_history::{SchemaHistory, SourceIdentity, TargetIdentity},
    slot_lease::LoadPermit,
    table::{Table, TableId},
};

/// The targets after preparation.
#[derive(Debug, Default)]
pub struct Targets {
    /// Tables that cannot be loaded, with the fault that a person has to remove.
    pub halted: Vec<(TableId, Fault)>,
    /// The history of each other table.
    pub histories: Vec<(TableId, SchemaHistory)>,
    /// Targets that were not ready within the time limit: nothing is loaded into them until they are.
    pub unfinished: Vec<(TableId, Arc<Aim>)>,
    /// Tables whose histories differ from the stored ones.
    pub(super) unkept: Vec<TableId>,
    /// Where each of those begins, by the target's name.
    pub(super) beginnings: HashMap<String, Beginning>,
    /// Targets of tables that the job no longer has, with their histories.
    pub(super) left: Vec<(String, SchemaHistory)>,
}

/// Where a target begins that was not ready at the start: until it is, nothing is kept of it.
#[derive(Debug, Clone)]
pub(crate) struct Beginning {
    before: Option<SchemaHistory>,
    source: SourceIdentity,
}

impl Targets {
    /// Whether the history of the table is new or has changed.
    pub fn is_new(&self, table: TableId) -> bool {
        self.unkept.contains(&table)
    }

    pub fn history(&self, table: TableId) -> Option<&SchemaHistory> {
        self.histories.iter().find(|(id, _)| *id == table).map(|(_, history)| history)
    }
}

/// Prepares the targets of the job's `tables`. A retryable fault fails the whole call; repeating the call is harmless.
/// `begins` means that the job has no prior run, so that histories under its name are of an earlier job.
pub async fn prepare(
    config: &SinkConfig,
    claimant: &Claimant,
    tables: &[Table],
    sources: &[SourceIdentity],
    begins: bool,
) -> Result<Targets, Fault> {
    check_database(&config.database)?;
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let outcome = prepare_with(&mut session, config, claimant, tables, sources, begins).await;
    session.close().await;
    outcome
}

async fn prepare_with(
    session: &mut Session,
    config: &SinkConfig,
    claimant: &Claimant,
    tables: &[Table],
    sources: &[SourceIdentity],
    begins: bool,
) -> Result<Targets, Fault> {
    enter_database(session, &config.database).await.map_err(|error| error.fault())?;
    let dead_letters = (config.on_refused_row == OnRefusedRow::DeadLetter).then(row::table);
    let in_one_step = config.consistency == Consistency::Transaction;
    let checkpoints = in_one_step.then(checkpoint::table);
    for own in [claim::table(), schema_histories::table()].into_iter().chain(dead_letters).chain(checkpoints)
    {
        prepare_table(session, config, &own, None).await?;
    }
    if in_one_step {
        check_sink(session, config).await?;
    }
    let kept = schema_histories::find(session, config, &claimant.job).await?;
    let names: Vec<_> = tables.iter().map(|table| table.target.as_str()).collect();
    let rivals = owners::find(session, config, claimant, &names).await?;
    let mut targets = Targets::default();
    let mut start = Start::begin(in_one_step);
    for (table, source) in tables.iter().zip(sources) {
        let noted = kept.get(&table.target);
        let before = noted.map(|noted| if begins { noted.of_an_earlier_job() } else { claimant.own(noted) });
        let before = before.as_ref();
        let prepared = match check_ours(config, table, before, &rivals) {
            Ok(()) => start.within(prepare_table(session, config, table, before)).await,
            Err(unusable) => Some(Err(unusable)),
        };
        match prepared {
            Some(Err(fault)) if fault.course == Course::Halt => targets.halted.push((table.id, fault)),
            Some(prepared) => targets.add(table, of_source(prepared?, before, source), noted),
            None => {
                info!(table = %table.name, target = %table.target, "target not ready yet, starting the others");
                targets.wait_for(table, before, source);
                // The answer to the abandoned statement may still arrive on the old session.
                *session = Session::open(config).await.map_err(|error| error.fault())?;
                enter_database(session, &config.database).await.map_err(|error| error.fault())?;
            }
        }
    }
    Ok(targets)
}

/// The history with the current identity of the source table. A history of an earlier version of the worker has no
/// position from which on the table is this relation, so it counts from the beginning.
fn of_source(history: SchemaHistory, before: Option<&SchemaHistory>, now: &SourceIdentity) -> SchemaHistory {
    let source = match before {
        None => now.clone(),
        Some(before) => {
            let known = SourceIdentity { since: Lsn(0), ..SourceIdentity::default() };
            before.source.as_ref().unwrap_or(&known).renewed(now.clone())
        }
    };
    let (from, whole) = match before {
        None => (Some(now.since), now.empty),
        Some(before) => (before.from, before.whole),
    };
    SchemaHistory { source: Some(source), from, whole, ..history }
}

impl Targets {
    /// Adds tables that have a history and no longer belong to the job: their changes from `at` on are never sent again.
    pub fn leave(
        &mut self,
        kept: &SchemaHistories,
        claimant: &Claimant,
        has: impl Fn(&str) -> bool,
        at: Lsn,
    ) {
        let is_left = |(target, history): &(&String, &SchemaHistory)| {
            !has(target) && history.left.is_none() && claimant.is_own(history)
        };
        let left = kept.iter().filter(is_left);
        self.left.extend(
            left.map(|(target, history)| {
                (target.clone(), SchemaHistory { left: Some(at), ..history.clone() })
            }),
        );
    }

    /// `noted` is the stored history.
    fn add(&mut self, table: &Table, history: SchemaHistory, noted: Option<&SchemaHistory>) {
        if noted.is_none_or(|noted| !noted.is_kept_as(&history)) {
            self.unkept.push(table.id);
        }
        self.histories.push((table.id, history));
    }

    /// Adds an unfinished target. Its table's rows are routed as if it were ready; the lane waits until it is.
    fn wait_for(&mut self, table: &Table, before: Option<&SchemaHistory>, source: &SourceIdentity) {
        let history = before.cloned().unwrap_or_else(|| SchemaHistory::beginning(table, Vec::new()));
        let history = of_source(history, before, source);
        let aim = Aim { table: table.clone(), shapes: history.shapes.clone() };
        self.unfinished.push((table.id, Arc::new(aim)));
        let beginning = Beginning { before: before.cloned(), source: source.clone() };
        self.beginnings.insert(table.target.clone(), beginning);
        self.histories.push((table.id, history));
    }
}

/// Alters the target of a running table as `aim` requires; returns the history to store.
pub(super) async fn reshape(
    config: &SinkConfig,
    job: &str,
    aim: &Aim,
    beginning: Option<&Beginning>,
    permit: Option<&LoadPermit>,
) -> Result<SchemaHistory, Fault> {
    check_usable(config, &aim.table)?;
    let mut session = Session::open(config).await.map_err(|error| error.fault())?.under(permit);
    let outcome = reshape_with(&mut session, config, job, aim, beginning).await;
    session.close().await;
    outcome
}

async fn reshape_with(
    session: &mut Session,
    config: &SinkConfig,
    job: &str,
    aim: &Aim,
    beginning: Option<&Beginning>,
) -> Result<SchemaHistory, Fault> {
    enter_database(session, &config.database).await.map_err(|error| error.fault())?;
    let history = match beginning {
        Some(Beginning { before, source }) => {
            let history = prepare_table(session, config, &aim.table, before.as_ref()).await?;
            of_source(history, before.as_ref(), source)
        }
        None => {
            let kept = schema_histories::find(session, config, job).await?;
            prepare_table(session, config, &aim.table, kept.get(&aim.table.target)).await?
        }
    };
    Ok(SchemaHistory { shapes: aim.shapes.clone(), ..history })
}

/// Checks that the target can be loaded and has no earlier rival.
fn check_ours(
    config: &SinkConfig,
    table: &Table,
    before: Option<&SchemaHistory>,
    rivals: &[Rival],
) -> Result<(), Fault> {
    check_usable(config, table)?;
    let own = before.and_then(|before| before.owner.as_ref());
    owners::shared(table, own, rivals).map_or(Ok(()), Err)
}

/// Checks that the names and the width of a table permit loading with the job's consistency.
fn check_usable(config: &SinkConfig, table: &Table) -> Result<(), Fault> {
    check_table(table)?;
    match config.consistency {
        Consistency::Transaction => header_room::check(config, table),
        Consistency::Row => Ok(()),
    }
}

async fn check_sink(session: &mut Session, config: &SinkConfig) -> Result<(), Fault> {
    let rows = session.run("SELECT @@version_comment", "show its version").await;
    let rows = rows.map_err(|error| error.fault())?;
    let version =
        rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten().unwrap_or_default();
    let create = show_create(session, &checkpoint::table()).await?;
    transaction_support::check(&version, &create, config.deletes)
}

/// The stored history of the target, if there is one.
pub(super) async fn kept_of(
    config: &SinkConfig,
    job: &str,
    table: &Table,
) -> Result<Option<SchemaHistory>, Fault> {
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let found = schema_histories::find(&mut session, config, job).await;
    session.close().await;
    Ok(found?.remove(&table.target))
}

/// The current identity of the target.
pub(super) async fn identity_of(config: &SinkConfig, table: &Table) -> Result<Option<TargetIdentity>, Fault> {
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let found = async {
        session.run(&format!("USE {}", quoted(&config.database)), "use the database").await?;
        standing::identity(&mut session, table).await
    };
    let found = found.await;
    session.close().await;
    found.map_err(|error| error.fault())
}

/// Checks for the database before CREATE DATABASE, because StarRocks refuses the statement to a user without the
/// privilege even with IF NOT EXISTS and an existing database.
async fn enter_database(session: &mut Session, database: &str) -> Result<(), SqlError> {
    let (pattern, name) = (literal(database), quoted(database));
    let found = session.run(&format!("SHOW DATABASES LIKE {pattern}"), "list databases").await?;
    if !lists(&found, database) {
        session.run(&format!("CREATE DATABASE IF NOT EXISTS {name}"), "create the database").await?;
        info!(%database, "database created");
    }
    session.run(&format!("USE {name}"), "use the database").await?;
    Ok(())
}

/// A refused statement is the fault of this table only.
fn of_table(error: &SqlError, table: &Table) -> Fault {
    let fault = error.fault();
    let message = format!("{} (table {})", fault.message, table.name);
    match error {
        SqlError::Refused { .. } => {
            Fault::halt(Part::Table(table.name.clone()), fault.reason, message, fault.fix)
        }
        _ => Fault { message, ..fault },
    }
}
