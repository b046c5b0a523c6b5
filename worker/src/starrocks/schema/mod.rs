//! The target's database and tables: looked at, made when missing, brought to what the source has now.
//!
//! ```text
//! database ─► each table: ─┬─ missing ─► CREATE
//!                          └─ there ─► columns, history ─► next step ─► ALTER ─► columns read back ─► next step …
//! ```
//!
//! A change counts as made when the columns read back show it and no change of the table's shape is
//! unfinished, not when the statement returns. Nothing is ever dropped or narrowed.

mod difference;
mod fill;
#[cfg(feature = "fuzz")]
pub(super) mod fuzz;
mod names;
mod statement;

use std::time::Duration;

use crds::Reason;
use tokio::time::sleep;
use tracing::info;

use self::{
    difference::{Existing, Step, held_now, next_step, primary_key, still_held},
    statement::{alter_table, create_table},
};
use super::{
    claim,
    frontend::Frontend,
    histories, letter,
    name::{check_database, check_table},
    sql::{Rows, Session, SqlError, literal, quoted},
    together::{checkpoint, sink},
};
use crate::{
    change::Aim,
    config::{Consistency, OnRefusedRow, SinkConfig},
    fault::{Course, Fault, Part},
    history::{Held, History},
    table::{Table, TableId},
};

/// An asynchronous change of a table takes twenty seconds at least.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// A change that StarRocks takes and cancels so often will not come about by itself.
const MOST_TRIES: u32 = 5;

/// What is known of the targets.
#[derive(Debug, Default)]
pub struct Targets {
    /// Tables that cannot be loaded, with what a person has to mend.
    pub halted: Vec<(TableId, Fault)>,
    /// Of each of the others.
    pub histories: Vec<(TableId, History)>,
    /// Tables whose histories are not as they are kept.
    pub(super) unkept: Vec<TableId>,
}

impl Targets {
    pub fn history(&self, table: TableId) -> Option<&History> {
        self.histories.iter().find(|(id, _)| *id == table).map(|(_, history)| history)
    }
}

/// Makes the target ready for `tables` of `job`. What stands in the way of all of them, or may pass by itself, is the
/// fault of the whole. Calling again is harmless, whatever was done before.
pub async fn prepare(config: &SinkConfig, job: &str, tables: &[Table]) -> Result<Targets, Fault> {
    check_database(&config.database)?;
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let outcome = prepare_with(&mut session, config, job, tables).await;
    session.close().await;
    match outcome? {
        targets if targets.halted.len() < tables.len() => Ok(targets),
        // With nothing to replicate the job stands, and looks again until a table is mended.
        mut targets => targets.halted.pop().map_or(Ok(Targets::default()), |(_, fault)| Err(fault)),
    }
}

async fn prepare_with(
    session: &mut Session,
    config: &SinkConfig,
    job: &str,
    tables: &[Table],
) -> Result<Targets, Fault> {
    enter_database(session, &config.database).await.map_err(|error| error.fault())?;
    let letters = (config.on_refused_row == OnRefusedRow::DeadLetter).then(letter::table);
    let in_one_step = config.consistency == Consistency::Transaction;
    let checkpoints = in_one_step.then(checkpoint::table);
    for own in [claim::table(), histories::table()].into_iter().chain(letters).chain(checkpoints) {
        prepare_table(session, config, &own, None).await?;
    }
    if in_one_step {
        check_sink(session, config).await?;
    }
    let kept = histories::find(session, config, job).await?;
    let mut targets = Targets::default();
    for table in tables {
        let before = kept.get(&table.target);
        let prepared = match check_table(table) {
            Ok(()) => prepare_table(session, config, table, before).await,
            Err(unusable) => Err(unusable),
        };
        match prepared {
            Err(fault) if fault.course == Course::Halt => targets.halted.push((table.id, fault)),
            prepared => targets.add(table, prepared?, before),
        }
    }
    Ok(targets)
}

impl Targets {
    fn add(&mut self, table: &Table, history: History, before: Option<&History>) {
        if before != Some(&history) {
            self.unkept.push(table.id);
        }
        self.histories.push((table.id, history));
    }
}

/// Brings the target of a running table to where it has to be; gives what is to be kept of it.
pub(super) async fn reshape(config: &SinkConfig, job: &str, aim: &Aim) -> Result<History, Fault> {
    check_table(&aim.table)?;
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let outcome = reshape_with(&mut session, config, job, aim).await;
    session.close().await;
    outcome
}

async fn reshape_with(
    session: &mut Session,
    config: &SinkConfig,
    job: &str,
    aim: &Aim,
) -> Result<History, Fault> {
    enter_database(session, &config.database).await.map_err(|error| error.fault())?;
    let kept = histories::find(session, config, job).await?;
    let before = kept.get(&aim.table.target);
    let History { target, .. } = prepare_table(session, config, &aim.table, before).await?;
    Ok(History { target, shapes: aim.shapes.clone() })
}

async fn check_sink(session: &mut Session, config: &SinkConfig) -> Result<(), Fault> {
    let rows = session.run("SELECT @@version_comment", "tell its version").await;
    let rows = rows.map_err(|error| error.fault())?;
    let version =
        rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten().unwrap_or_default();
    let create = show_create(session, &checkpoint::table()).await?;
    sink::check(&version, &create, config.deletes)
}

/// Empties the target. Calling again is harmless.
pub(super) async fn truncate(config: &SinkConfig, table: &Table) -> Result<(), Fault> {
    let statement = format!("TRUNCATE TABLE {}.{}", quoted(&config.database), quoted(&table.target));
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let outcome = session.run(&statement, &format!("truncate table {}", table.target)).await;
    session.close().await;
    outcome.map(|_| ()).map_err(|error| of_table(&error, table))
}

/// Looks before it makes: the statement is refused to a user who may not make databases, even with
/// IF NOT EXISTS and the database there.
async fn enter_database(session: &mut Session, database: &str) -> Result<(), SqlError> {
    let (pattern, name) = (literal(database), quoted(database));
    let found = session.run(&format!("SHOW DATABASES LIKE {pattern}"), "list databases").await?;
    if !names(&found, database) {
        session.run(&format!("CREATE DATABASE IF NOT EXISTS {name}"), "create the database").await?;
        info!(%database, "database created");
    }
    session.run(&format!("USE {name}"), "use the database").await?;
    Ok(())
}

/// Patterns match more than one name: `_` stands for any letter.
fn names(rows: &Rows, name: &str) -> bool {
    rows.iter().any(|row| row.first().and_then(Option::as_deref) == Some(name))
}

/// Makes the target, or completes it; gives what is known of it then.
async fn prepare_table(
    session: &mut Session,
    config: &SinkConfig,
    table: &Table,
    before: Option<&History>,
) -> Result<History, Fault> {
    let show = format!("SHOW TABLES LIKE {}", literal(&table.target));
    let found = session.run(&show, "list tables").await.map_err(|error| error.fault())?;
    if names(&found, &table.target) {
        let held = before.map_or(&[][..], |before| &before.target);
        let target = complete_table(session, config, table, held).await?;
        return Ok(match before {
            Some(before) => before.with_target(target),
            None => History::beginning(table, target),
        });
    }
    let replicas = live_backends(config).await.clamp(1, 3);
    let create = create_table(table, config.values, replicas)?;
    session
        .run(&create, &format!("create table {}", table.target))
        .await
        .map_err(|error| of_table(&error, table))?;
    info!(table = %table.name, target = %table.target, replicas, "target table created");
    Ok(History::beginning(table, held_now(table, config.values, &[])?))
}

/// Fewer live backends than replicas fail the statement. The health page is the only one that counts
/// backends for a user without privileges; without it one replica is always possible.
async fn live_backends(config: &SinkConfig) -> u64 {
    #[derive(serde::Deserialize)]
    struct Health {
        online_backend_num: u64,
    }
    let frontend = Frontend::anonymous(config);
    let at = frontend.address();
    let head = format!("GET /api/health HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    let answer = frontend.ask(&at, &head).await.ok();
    let health = answer.and_then(|(answer, _)| serde_json::from_slice::<Health>(&answer.body).ok());
    health.map_or(1, |health| health.online_backend_num)
}

async fn complete_table(
    session: &mut Session,
    config: &SinkConfig,
    table: &Table,
    held: &[Held],
) -> Result<Vec<Held>, Fault> {
    let (mut look, mut tries) = (SHORTEST_LOOK, 0);
    let mut existing = columns(session, table).await?;
    let held = still_held(table, &existing, held);
    loop {
        let step = next_step(table, config.values, &existing, &held)?;
        if !matches!(step, Some(Step::Rename { .. })) {
            check_key(session, table).await?;
        }
        if !is_changing(session, &config.database, table).await.map_err(|error| error.fault())? {
            let Some(step) = step else { return held_now(table, config.values, &held) };
            if tries == MOST_TRIES {
                return Err(not_changed(table));
            }
            alter(session, table, &alter_table(table, &step)).await?;
            tries += u32::from(matches!(step, Step::Change { .. }));
        }
        sleep(look).await;
        look = (look * 2).min(LONGEST_LOOK);
        existing = columns(session, table).await?;
    }
}

fn not_changed(table: &Table) -> Fault {
    let message = format!(
        "StarRocks took the changes that target table {} needs, and does not show them",
        table.target
    );
    let fix = "look at SHOW ALTER TABLE COLUMN for why the change was cancelled";
    Fault::retry(Part::Table(table.name.clone()), Reason::TargetIncompatible, message, fix)
}

async fn alter(session: &mut Session, table: &Table, statement: &str) -> Result<(), Fault> {
    match session.run(statement, &format!("change the columns of {}", table.target)).await {
        Err(error) if !error.is_schema_change() => Err(of_table(&error, table)),
        Ok(_) => {
            info!(table = %table.name, target = %table.target, %statement, "target table being changed");
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

async fn check_key(session: &mut Session, table: &Table) -> Result<(), Fault> {
    primary_key(table, &show_create(session, table).await?)
}

async fn show_create(session: &mut Session, table: &Table) -> Result<String, Fault> {
    let show = format!("SHOW CREATE TABLE {}", quoted(&table.target));
    let rows = session.run(&show, "show the target table").await.map_err(|error| of_table(&error, table))?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().nth(1)).flatten().unwrap_or_default())
}

async fn columns(session: &mut Session, table: &Table) -> Result<Vec<Existing>, Fault> {
    describe(session, table).await.map_err(|error| of_table(&error, table))
}

async fn describe(session: &mut Session, table: &Table) -> Result<Vec<Existing>, SqlError> {
    let rows = session.run(&format!("DESC {}", quoted(&table.target)), "describe the target table").await?;
    Ok(rows.into_iter().filter_map(Existing::read).collect())
}

/// A target and its columns, as StarRocks shows them; no columns when it is not there.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    target: String,
    columns: Vec<Existing>,
}

/// Looks at the targets, and does nothing to them.
pub async fn show(config: &SinkConfig, tables: &[Table]) -> Result<Vec<Shown>, Fault> {
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let shown = show_with(&mut session, config, tables).await;
    session.close().await;
    shown.map_err(|error| error.fault())
}

async fn show_with(
    session: &mut Session,
    config: &SinkConfig,
    tables: &[Table],
) -> Result<Vec<Shown>, SqlError> {
    session.run(&format!("USE {}", quoted(&config.database)), "use the database").await?;
    let mut shown = Vec::new();
    for table in tables {
        let columns = match describe(session, table).await {
            Err(SqlError::Refused { .. }) => Vec::new(),
            columns => columns?,
        };
        shown.push(Shown { target: table.target.clone(), columns });
    }
    Ok(shown)
}

/// Whether a change of the table's shape is unfinished.
async fn is_changing(session: &mut Session, database: &str, table: &Table) -> Result<bool, SqlError> {
    let (from, name) = (quoted(database), literal(&table.target));
    let show =
        format!("SHOW ALTER TABLE COLUMN FROM {from} WHERE TableName = {name} ORDER BY JobId DESC LIMIT 1");
    let rows = session.run(&show, "watch changes of the target table").await?;
    let state = rows.first().and_then(|row| row.get(STATE)).and_then(Option::as_deref);
    Ok(state.is_some_and(|state| !matches!(state, "FINISHED" | "CANCELLED")))
}

/// The place of `State` in SHOW ALTER TABLE COLUMN.
const STATE: usize = 9;

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
