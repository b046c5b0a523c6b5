//! Prepares all targets of a job at the start of a session.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::{
    anew::{begun_again, prepare_anew},
    apply::prepare_table,
    header_room,
    look::show_create,
    name_check::{check_database, check_table},
    targets::{Targets, of_source},
    transaction_support,
};
use crate::{
    config::{Consistency, OnRefusedRow, SinkConfig},
    fault::{Course, Fault},
    schema_history::{SchemaHistory, SourceIdentity},
    starrocks::{
        bookkeeping::{
            checkpoint, claim,
            owners::{self, Claimant, Rival},
            schema_histories,
        },
        dead_letter::row,
        sql::{Session, SqlError, lists, literal, quoted},
    },
    table::{Table, TableName},
};

/// Time limit for all targets; most of them need a few milliseconds.
const ALL: Duration = Duration::from_secs(10);
/// Time that each target gets in any case.
const EACH: Duration = Duration::from_secs(1);

/// Prepares the targets of the job's `tables`. A retryable fault fails the whole call; repeating the call is harmless.
/// `begins` means that the job has no prior run, so that histories under its name are of an earlier job. A target that is
/// lost is made again for tables that are to be copied anew (`is_asked`).
pub async fn prepare(
    config: &SinkConfig,
    claimant: &Claimant,
    tables: &[Table],
    sources: &[SourceIdentity],
    begins: bool,
    is_asked: impl Fn(&TableName) -> bool,
) -> Result<Targets, Fault> {
    check_database(&config.database)?;
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let outcome = prepare_with(&mut session, config, claimant, tables, sources, begins, is_asked).await;
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
    is_asked: impl Fn(&TableName) -> bool,
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
        let mut before = before.as_ref();
        let mut prepared = match check_ours(config, table, before, &rivals) {
            Ok(()) => start.within(prepare_table(session, config, table, before)).await,
            Err(unusable) => Some(Err(unusable)),
        };
        let anew;
        if let Some(Err(fault)) = prepared {
            prepared = match begun_again(config, before, is_asked(&table.name), fault) {
                Ok(again) => {
                    anew = again;
                    before = Some(&anew);
                    start.within(prepare_anew(session, config, table, &anew)).await
                }
                Err(fault) => Some(Err(fault)),
            };
        }
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
pub(super) fn check_usable(config: &SinkConfig, table: &Table) -> Result<(), Fault> {
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

/// Checks for the database before CREATE DATABASE, because StarRocks refuses the statement to a user without the
/// privilege even with IF NOT EXISTS and an existing database.
pub(super) async fn enter_database(session: &mut Session, database: &str) -> Result<(), SqlError> {
    let (pattern, name) = (literal(database), quoted(database));
    let found = session.run(&format!("SHOW DATABASES LIKE {pattern}"), "list databases").await?;
    if !lists(&found, database) {
        session.run(&format!("CREATE DATABASE IF NOT EXISTS {name}"), "create the database").await?;
        info!(%database, "database created");
    }
    session.run(&format!("USE {name}"), "use the database").await?;
    Ok(())
}

/// Time limits for preparing targets at start, so that a slow one does not delay the others.
#[derive(Debug)]
struct Start {
    until: Option<Instant>,
}

impl Start {
    /// No limit with consistency `Transaction`, because no table can be loaded without the others.
    fn begin(in_one_step: bool) -> Self {
        Self { until: (!in_one_step).then(|| Instant::now() + ALL) }
    }

    /// The result of preparing a target; none when it exceeds the limit.
    async fn within<T>(&mut self, preparing: impl Future<Output = T>) -> Option<T> {
        match self.until {
            Some(until) => timeout_at(until.max(Instant::now() + EACH), preparing).await.ok(),
            None => Some(preparing.await),
        }
    }
}
