//! Checks the targets of a running job: whether each still matches its history.
//!
//! It never writes; the start of the next session acts on what it finds.

use super::{
    anew::begun_again,
    difference::{next_step, still_held},
    key::primary_key,
    look::show_create,
    standing::{Standing, standing},
    statement::create_table,
};
use crate::{
    config::SinkConfig,
    fault::{Course, Fault},
    schema_history::SchemaHistory,
    starrocks::{
        bookkeeping::{
            owners::{self, Claimant},
            schema_histories,
        },
        schema::name_check::check_table,
        sql::{Session, quoted},
    },
    table::Table,
};

/// The result for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetCheck {
    /// The target matches its history.
    Same,
    /// There is no history of the target.
    Unknown,
    Wrong(Fault),
}

/// Checks the targets, in the order of `tables`. For tables for which `stand` returns true it also checks whether the
/// target could be altered to match the source.
pub async fn look(
    config: &SinkConfig,
    claimant: &Claimant,
    tables: &[Table],
    stand: impl Fn(&Table) -> bool,
) -> Result<Vec<TargetCheck>, Fault> {
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let checks = look_with(&mut session, config, claimant, tables, stand).await;
    session.close().await;
    checks
}

async fn look_with(
    session: &mut Session,
    config: &SinkConfig,
    claimant: &Claimant,
    tables: &[Table],
    stand: impl Fn(&Table) -> bool,
) -> Result<Vec<TargetCheck>, Fault> {
    let kept = schema_histories::kept(session, config, &claimant.job).await?;
    if kept.is_empty() {
        return Ok(vec![TargetCheck::Unknown; tables.len()]);
    }
    let usable = format!("USE {}", quoted(&config.database));
    session.run(&usable, "use the database").await.map_err(|error| error.fault())?;
    let names: Vec<_> = tables.iter().map(|table| table.target.as_str()).collect();
    let rivals = owners::find(session, config, claimant, &names).await?;
    let mut checks = Vec::with_capacity(tables.len());
    for table in tables {
        let before = kept.get(&table.target).filter(|history| claimant.is_own(history));
        let own = before.map(|history| claimant.own(history)).and_then(|history| history.owner);
        checks.push(match owners::shared(table, own.as_ref(), &rivals) {
            Some(fault) => TargetCheck::Wrong(fault),
            None => check_target(session, config, table, before, stand(table)).await?,
        });
    }
    Ok(checks)
}

async fn check_target(
    session: &mut Session,
    config: &SinkConfig,
    table: &Table,
    before: Option<&SchemaHistory>,
    stands: bool,
) -> Result<TargetCheck, Fault> {
    if let Err(unusable) = check_table(table) {
        return Ok(TargetCheck::Wrong(unusable));
    }
    let judged = match standing(session, table, before).await {
        Ok(Some(standing)) if stands => could_follow(session, config, table, &standing, before).await,
        Ok(None) if stands => create_table(table, config.values, 1).map(|_| ()),
        judged => judged.map(|_| ()),
    };
    // A new session makes the target again.
    let judged = match judged {
        Err(fault) => match begun_again(config, before, false, fault) {
            Ok(_) => return Ok(TargetCheck::Unknown),
            Err(fault) => Err(fault),
        },
        judged => judged,
    };
    match judged {
        Err(fault) if fault.course == Course::Halt => Ok(TargetCheck::Wrong(fault)),
        Err(fault) => Err(fault),
        Ok(()) if before.is_none() => Ok(TargetCheck::Unknown),
        Ok(()) => Ok(TargetCheck::Same),
    }
}

/// Checks that the start of a session could prepare this target.
async fn could_follow(
    session: &mut Session,
    config: &SinkConfig,
    table: &Table,
    standing: &Standing,
    before: Option<&SchemaHistory>,
) -> Result<(), Fault> {
    let held = before.map_or(&[][..], |before| &before.target);
    let held = still_held(table, &standing.columns, held);
    next_step(table, config.values, &standing.columns, &held)?;
    primary_key(table, &show_create(session, table).await?)
}
