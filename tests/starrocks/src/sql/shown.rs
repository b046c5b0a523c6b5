//! The answers of the SHOW statements, except the descriptions of tables.

use super::{
    SqlError,
    execute::{Outcome, Rows, SessionScope, database_of},
    expression::Expression,
    information,
    select::{self, Source},
    session::Session,
    statement::Tail,
};
use crate::{
    Mode,
    catalog::{AlterJob, JobState, SqlType},
    clock,
    cluster::Cluster,
    grants::Object,
    value::Value,
};

pub(super) fn databases(cluster: &Cluster, session: &Session) -> Rows {
    let catalog = cluster.catalog_of(session.frontend);
    let is_visible = |name: &&String| cluster.may_enter(&session.user, name);
    let own = catalog.databases.keys().filter(is_visible).map(String::as_str);
    let mut names: Vec<&str> = own.chain(["_statistics_", "information_schema", "sys"]).collect();
    names.sort_unstable();
    let rows = names.into_iter().map(|name| vec![Value::text(name)]).collect();
    Rows::of_text(&["Database"], rows)
}

pub(super) fn tables(
    cluster: &Cluster,
    session: &Session,
    database: Option<String>,
    is_full: bool,
) -> Result<Rows, SqlError> {
    let database = database_of(session, database.as_ref())?;
    let catalog = cluster.catalog_of(session.frontend);
    let label = format!("Tables_in_{database}");
    let names: Vec<&str> = if database == "information_schema" {
        information::TABLES.to_vec()
    } else {
        let content = catalog.databases.get(&database);
        let content = content.ok_or_else(|| SqlError::unknown_database(&database, cluster.profile()))?;
        let is_visible = |name: &&String| {
            cluster.may(&session.user, None, &Object::Table(database.clone(), (*name).clone()))
        };
        content.tables.keys().filter(is_visible).map(String::as_str).collect()
    };
    let row = |name: &str| {
        let mut row = vec![Value::text(name)];
        if is_full {
            row.push(Value::text("BASE TABLE"));
        }
        row
    };
    let rows = names.into_iter().map(row).collect();
    let labels: &[&str] = if is_full { &[&label, "Table_type"] } else { &[&label] };
    Ok(Rows::of_text(labels, rows))
}

pub(super) fn variables(session: &Session) -> Rows {
    let variables = session.variables.iter().filter(|(name, _)| !name.starts_with('@'));
    let rows = variables.map(|(name, value)| vec![Value::text(name.as_str()), printed(value)]).collect();
    Rows::of_text(&["Variable_name", "Value"], rows)
}

fn printed(value: &Value) -> Value {
    match value {
        Value::Boolean(value) => Value::text(if *value { "true" } else { "false" }),
        other => other.print(true).map_or(Value::Null, |text| Value::text(String::from_utf8_lossy(&text))),
    }
}

/// Of the frontend's many settings only the one that clients ask for.
pub(super) fn config(cluster: &Cluster) -> Rows {
    let mode = match cluster.mode() {
        Mode::Nothing => "shared_nothing",
        Mode::Data => "shared_data",
    };
    let row = ["run_mode", "[]", mode, "String", "false", ""].into_iter().map(Value::text).collect();
    Rows::of_text(&["Key", "AliasNames", "Value", "Type", "IsMutable", "Comment"], vec![row])
}

const ALTER_FIELDS: [&str; 13] = [
    "JobId",
    "TableName",
    "CreateTime",
    "FinishTime",
    "IndexName",
    "IndexId",
    "OriginIndexId",
    "SchemaVersion",
    "TransactionId",
    "State",
    "Msg",
    "Progress",
    "Timeout",
];

pub(super) fn alter(
    cluster: &Cluster,
    session: &Session,
    database: Option<String>,
    tail: &Tail,
) -> Result<Outcome, SqlError> {
    let database = database_of(session, database.as_ref())?;
    let catalog = cluster.catalog_of(session.frontend);
    let content = catalog.databases.get(&database);
    let content = content.ok_or_else(|| SqlError::unknown_database(&database, cluster.profile()))?;
    let mut rows: Vec<Vec<Value>> = content.alter_jobs.iter().map(alter_row).collect();
    let mut names = ALTER_FIELDS.to_vec();
    if cluster.mode() == Mode::Data {
        names.push("Warehouse");
        rows.iter_mut().for_each(|row| row.push(Value::text("default_warehouse")));
    }
    let fields = names.iter().map(|name| ((*name).to_owned(), SqlType::Varchar(30))).collect::<Vec<_>>();
    let source = Source { fields: &fields, rows: &mut rows.iter().map(Vec::as_slice) };
    let items = fields.iter().map(|(name, _)| (Expression::Column(name.clone()), name.clone())).collect();
    select::over(source, items, tail, &SessionScope { session, profile: cluster.profile() })
        .map(Outcome::Rows)
}

fn alter_row(job: &AlterJob) -> Vec<Value> {
    let text = |text: &str| Value::text(text);
    let number = |number: u64| Value::Integer(number.into());
    let time = |millis: i64| Value::text(clock::print_seconds(millis));
    vec![
        number(job.id),
        text(&job.table),
        time(job.created_millis),
        job.finished_millis.map_or(Value::Null, time),
        text(&job.table),
        number(job.index_id),
        number(job.table_id),
        text(&format!("{}:284508579", job.schema_version)),
        number(job.transaction),
        text(job.state.name()),
        text(&job.message),
        if job.state == JobState::Running { text("0/1") } else { Value::Null },
        number(job.timeout_seconds),
    ]
}
