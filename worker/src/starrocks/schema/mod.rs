//! The target's database and tables: looked at, made when missing, brought to what the source has now.
//!
//! ```text
//! database ─► each table: ─┬─ missing ─► CREATE
//!                          └─ there ─► columns, history ─► next step ─► ALTER ─► columns read back ─► next step …
//! ```
//!
//! A change counts as made when the columns read back show it and no change of the table's shape is
//! unfinished, not when the statement returns. Nothing is ever dropped or narrowed.

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

use std::sync::Arc;

use tracing::info;

pub(super) use self::truncate::truncate;
use self::{
    complete::prepare_table,
    look::{lists, show_create},
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
    sql::{Session, SqlError, literal, quoted},
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

/// What is known of the targets.
#[derive(Debug, Default)]
pub struct Targets {
    /// Tables that cannot be loaded, with what a person has to mend.
    pub halted: Vec<(TableId, Fault)>,
    /// Of each of the others.
    pub histories: Vec<(TableId, SchemaHistory)>,
    /// Targets that were not ready soon: nothing is loaded into them before they are.
    pub unfinished: Vec<(TableId, Arc<Aim>)>,
    /// Tables whose histories are not as they are kept.
    pub(super) unkept: Vec<TableId>,
    /// Targets of tables that the job has no more, with their histories.
    pub(super) left: Vec<(String, SchemaHistory)>,
}

impl Targets {
    /// Nothing was known of the target as it is.
    pub fn is_new(&self, table: TableId) -> bool {
        self.unkept.contains(&table)
    }

    pub fn history(&self, table: TableId) -> Option<&SchemaHistory> {
        self.histories.iter().find(|(id, _)| *id == table).map(|(_, history)| history)
    }
}

/// Makes the target ready for `tables` of the job. What may pass by itself is the fault of the whole. Calling again is
/// harmless, whatever was done before. `begins`: the job has no past, and what is
/// kept under its name is of an earlier one.
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
    let letters = (config.on_refused_row == OnRefusedRow::DeadLetter).then(row::table);
    let in_one_step = config.consistency == Consistency::Transaction;
    let checkpoints = in_one_step.then(checkpoint::table);
    for own in [claim::table(), schema_histories::table()].into_iter().chain(letters).chain(checkpoints) {
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
                info!(table = %table.name, target = %table.target, "the target is not ready yet; the others begin");
                targets.wait_for(table, before, source);
                // The statement that was left may still be answered on it.
                *session = Session::open(config).await.map_err(|error| error.fault())?;
                enter_database(session, &config.database).await.map_err(|error| error.fault())?;
            }
        }
    }
    Ok(targets)
}

/// The history with what the table is at the source now. One that was kept by an earlier version of the worker has no
/// place from which on the table is this one: it always was.
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
    /// Takes note of tables that have a history and are not the job's any more: what is confirmed from `at` on never
    /// comes again.
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

    /// `noted`: what is kept of it, as it stands there.
    fn add(&mut self, table: &Table, history: SchemaHistory, noted: Option<&SchemaHistory>) {
        if noted.is_none_or(|noted| !noted.is_kept_as(&history)) {
            self.unkept.push(table.id);
        }
        self.histories.push((table.id, history));
    }

    /// Rows of the table are routed as if its target were ready; its lane waits until it is.
    fn wait_for(&mut self, table: &Table, before: Option<&SchemaHistory>, source: &SourceIdentity) {
        let history = before.cloned().unwrap_or_else(|| SchemaHistory::beginning(table, Vec::new()));
        let history = of_source(history, before, source);
        let aim = Aim { table: table.clone(), shapes: history.shapes.clone() };
        self.unfinished.push((table.id, Arc::new(aim)));
        self.histories.push((table.id, history));
    }
}

/// Brings the target of a running table to where it has to be; gives what is to be kept of it.
pub(super) async fn reshape(
    config: &SinkConfig,
    job: &str,
    aim: &Aim,
    permit: Option<&LoadPermit>,
) -> Result<SchemaHistory, Fault> {
    check_usable(config, &aim.table)?;
    let mut session = Session::open(config).await.map_err(|error| error.fault())?.under(permit);
    let outcome = reshape_with(&mut session, config, job, aim).await;
    session.close().await;
    outcome
}

async fn reshape_with(
    session: &mut Session,
    config: &SinkConfig,
    job: &str,
    aim: &Aim,
) -> Result<SchemaHistory, Fault> {
    enter_database(session, &config.database).await.map_err(|error| error.fault())?;
    let kept = schema_histories::find(session, config, job).await?;
    let before = kept.get(&aim.table.target);
    let history = prepare_table(session, config, &aim.table, before).await?;
    Ok(SchemaHistory { shapes: aim.shapes.clone(), ..history })
}

/// Whether the target can be loaded, and by nobody else.
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

/// Whether names and width of a table are such that it can be loaded the way the job loads.
fn check_usable(config: &SinkConfig, table: &Table) -> Result<(), Fault> {
    check_table(table)?;
    match config.consistency {
        Consistency::Transaction => header_room::check(config, table),
        Consistency::Row => Ok(()),
    }
}

async fn check_sink(session: &mut Session, config: &SinkConfig) -> Result<(), Fault> {
    let rows = session.run("SELECT @@version_comment", "tell its version").await;
    let rows = rows.map_err(|error| error.fault())?;
    let version =
        rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten().unwrap_or_default();
    let create = show_create(session, &checkpoint::table()).await?;
    transaction_support::check(&version, &create, config.deletes)
}

/// What is kept of the target; nothing when that cannot be known, or there is nothing.
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

/// Which table the target is now.
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

/// Looks before it makes: the statement is refused to a user who may not make databases, even with
/// IF NOT EXISTS and the database there.
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

/// What StarRocks refuses of one table is that table's alone.
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
