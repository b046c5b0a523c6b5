//! Reads what StarRocks shows of its tables. Nothing here writes.

use super::{fault::of_table, model::Existing};
use crate::{
    config::SinkConfig,
    fault::Fault,
    starrocks::{
        http::frontend::{Frontend, object},
        sql::{Session, SqlError, literal, quoted},
    },
    table::Table,
};

/// A target and its columns, as StarRocks shows them; no columns when the target does not exist.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    target: String,
    columns: Vec<Existing>,
}

/// Reads the columns of the targets.
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

pub(super) async fn show_create(session: &mut Session, table: &Table) -> Result<String, Fault> {
    let show = format!("SHOW CREATE TABLE {}", quoted(&table.target));
    let rows = session.run(&show, "show the target table").await.map_err(|error| of_table(&error, table))?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().nth(1)).flatten().unwrap_or_default())
}

pub(super) async fn columns(session: &mut Session, table: &Table) -> Result<Vec<Existing>, Fault> {
    describe(session, table).await.map_err(|error| of_table(&error, table))
}

async fn describe(session: &mut Session, table: &Table) -> Result<Vec<Existing>, SqlError> {
    let rows = session.run(&format!("DESC {}", quoted(&table.target)), "describe the target table").await?;
    Ok(rows.into_iter().filter_map(Existing::read).collect())
}

/// Whether an ALTER of the table's columns is unfinished.
pub(super) async fn is_changing(
    session: &mut Session,
    database: &str,
    table: &Table,
) -> Result<bool, SqlError> {
    let (from, name) = (quoted(database), literal(&table.target));
    let show =
        format!("SHOW ALTER TABLE COLUMN FROM {from} WHERE TableName = {name} ORDER BY JobId DESC LIMIT 1");
    let rows = session.run(&show, "watch changes of the target table").await?;
    let state = rows.first().and_then(|row| row.get(STATE)).and_then(Option::as_deref);
    Ok(state.is_some_and(|state| !matches!(state, "FINISHED" | "CANCELLED")))
}

/// Index of the column `State` in SHOW ALTER TABLE COLUMN.
const STATE: usize = 9;

/// Number of live backends, because CREATE TABLE fails with more replicas than that. Only the health page shows it to a
/// user without privileges; 1 when it cannot be read, because one replica is always possible.
pub(super) async fn live_backends(config: &SinkConfig) -> u64 {
    #[derive(serde::Deserialize)]
    struct Health {
        online_backend_num: u64,
    }
    let frontend = Frontend::anonymous(config);
    let at = frontend.address();
    let head = format!("GET /api/health HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    let answer = frontend.ask(&at, &head).await.ok();
    let health = answer.and_then(|(answer, _)| object::<Health>(&answer.body));
    health.map_or(1, |health| health.online_backend_num)
}
