//! The target's database and tables: looked at, made when missing, completed when columns are.
//!
//! ```text
//! database ─► each table: ─┬─ missing ─► CREATE
//!                          └─ there ─► columns ─► difference ─► ALTER ─► columns read back
//! ```
//!
//! A column counts as added when the columns read back show it and no change of the table's shape is
//! unfinished, not when the statement returns. Nothing is ever dropped or narrowed.

mod difference;
mod statement;

use std::time::Duration;

use crds::Reason;
use tokio::time::sleep;
use tracing::info;

use self::{
    difference::{Existing, difference, primary_key},
    statement::{add_columns, create_table},
};
use super::{
    claim, letter,
    load::Frontend,
    name::{check_database, check_table},
    sql::{Rows, Session, SqlError, literal, quoted},
    together::{checkpoint, sink},
};
use crate::{
    config::{Consistency, OnRefusedRow, SinkConfig},
    fault::{Course, Fault, Part},
    table::{Table, TableId},
};

/// An asynchronous change of a table takes twenty seconds at least.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// A change that StarRocks takes and cancels so often will not come about by itself.
const MOST_TRIES: u32 = 5;

/// Makes the target ready for `tables`; gives the tables that cannot be, with what a person has to mend.
/// What stands in the way of all of them, or may pass by itself, is the fault of the whole. Calling again is
/// harmless, whatever was done before.
pub async fn prepare(config: &SinkConfig, tables: &[Table]) -> Result<Vec<(TableId, Fault)>, Fault> {
    check_database(&config.database)?;
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let outcome = prepare_with(&mut session, config, tables).await;
    session.close().await;
    match outcome? {
        halted if halted.len() < tables.len() => Ok(halted),
        // With nothing to replicate the job stands, and looks again until a table is mended.
        mut all => all.pop().map_or(Ok(Vec::new()), |(_, fault)| Err(fault)),
    }
}

async fn prepare_with(
    session: &mut Session,
    config: &SinkConfig,
    tables: &[Table],
) -> Result<Vec<(TableId, Fault)>, Fault> {
    enter_database(session, &config.database).await.map_err(|error| error.fault())?;
    let letters = (config.on_refused_row == OnRefusedRow::DeadLetter).then(letter::table);
    let in_one_step = config.consistency == Consistency::Transaction;
    let checkpoints = in_one_step.then(checkpoint::table);
    for own in std::iter::once(claim::table()).chain(letters).chain(checkpoints) {
        prepare_table(session, config, &own).await?;
    }
    if in_one_step {
        check_sink(session, config).await?;
    }
    let mut halted = Vec::new();
    for table in tables {
        let prepared = match check_table(table) {
            Ok(()) => prepare_table(session, config, table).await,
            unusable => unusable,
        };
        match prepared {
            Err(fault) if fault.course == Course::Halt => halted.push((table.id, fault)),
            prepared => prepared?,
        }
    }
    Ok(halted)
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

async fn prepare_table(session: &mut Session, config: &SinkConfig, table: &Table) -> Result<(), Fault> {
    let show = format!("SHOW TABLES LIKE {}", literal(&table.target));
    let found = session.run(&show, "list tables").await.map_err(|error| error.fault())?;
    if names(&found, &table.target) {
        return complete_table(session, config, table).await;
    }
    let replicas = live_backends(config).await.clamp(1, 3);
    let create = create_table(table, config.values, replicas)?;
    session
        .run(&create, &format!("create table {}", table.target))
        .await
        .map_err(|error| of_table(&error, table))?;
    info!(table = %table.name, target = %table.target, replicas, "target table created");
    Ok(())
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

async fn complete_table(session: &mut Session, config: &SinkConfig, table: &Table) -> Result<(), Fault> {
    check_key(session, table).await?;
    let (mut look, mut tries) = (SHORTEST_LOOK, 0);
    loop {
        let existing = columns(session, table).await?;
        let missing = difference(table, config.values, &existing)?;
        if !is_changing(session, &config.database, table).await.map_err(|error| error.fault())? {
            let Some(alter) = add_columns(table, &missing) else { return Ok(()) };
            if tries == MOST_TRIES {
                return Err(not_added(table));
            }
            add(session, table, &alter).await?;
            tries += 1;
            info!(table = %table.name, columns = missing.len(), "columns being added to the target");
        }
        sleep(look).await;
        look = (look * 2).min(LONGEST_LOOK);
    }
}

fn not_added(table: &Table) -> Fault {
    let message = format!(
        "StarRocks took the columns that target table {} lacks, and does not show them",
        table.target
    );
    let fix = "look at SHOW ALTER TABLE COLUMN for why the change was cancelled";
    Fault::retry(Part::Table(table.name.clone()), Reason::TargetIncompatible, message, fix)
}

async fn add(session: &mut Session, table: &Table, alter: &str) -> Result<(), Fault> {
    match session.run(alter, &format!("add columns to {}", table.target)).await {
        Err(error) if !error.is_schema_change() => Err(of_table(&error, table)),
        Ok(_) | Err(_) => Ok(()),
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
    let describe = format!("DESC {}", quoted(&table.target));
    let rows =
        session.run(&describe, "describe the target table").await.map_err(|error| of_table(&error, table))?;
    Ok(rows.into_iter().filter_map(Existing::read).collect())
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

fn of_table(error: &SqlError, table: &Table) -> Fault {
    let mut fault = error.fault();
    fault.message = format!("{} (table {})", fault.message, table.name);
    fault
}
