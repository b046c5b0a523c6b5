//! Carries a statement out.

use super::{
    SqlError, ddl,
    expression::{Expression, Scope, is_like},
    information,
    parser::parse,
    select::{self, Source},
    session::Session,
    statement::{Assignment, Statement, TableName, Tail},
};
use crate::{
    Mode, Profile, Rights,
    catalog::{AlterJob, Catalog, JobState, SqlType, Table},
    clock,
    cluster::Cluster,
    locked,
    value::Value,
};

pub(super) enum Outcome {
    Done,
    Rows(Rows),
}

#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) fields: Vec<(String, SqlType)>,
    pub(super) rows: Vec<Vec<Value>>,
}

impl Rows {
    pub(super) fn of_text(names: &[&str], rows: Vec<Vec<Value>>) -> Self {
        let fields = names.iter().map(|name| ((*name).to_owned(), SqlType::Varchar(64))).collect();
        Self { fields, rows }
    }
}

pub(super) fn execute(cluster: &Cluster, session: &mut Session, text: &str) -> Result<Outcome, SqlError> {
    cluster.settle();
    let profile = cluster.profile();
    let statement = parse(text, session.has_ansi_quotes(), profile)?;
    check_rights(&statement, session, cluster)?;
    match statement {
        Statement::Select(select) => select::run(cluster, session, &select).map(Outcome::Rows),
        Statement::Set(assignments) => set(cluster, session, &assignments),
        Statement::Use(name) => session.enter(&name, cluster).map(|()| Outcome::Done),
        Statement::Nothing => Ok(Outcome::Done),
        Statement::ShowDatabases { like } => Ok(show_databases(cluster, session, like.as_deref())),
        Statement::ShowTables { database, is_full, like } => {
            show_tables(cluster, session, database, is_full, like.as_deref())
        }
        Statement::ShowVariables { like } => Ok(show_variables(session, like.as_deref())),
        Statement::ShowNothing(names) => Ok(Outcome::Rows(Rows::of_text(names, Vec::new()))),
        Statement::ShowBackends => Ok(Outcome::Rows(information::backends(cluster))),
        Statement::ShowAlterColumn { database, tail } => show_alter(cluster, session, database, &tail),
        Statement::Describe(table) => {
            with_table(cluster, session, &table, SqlError::unknown_table, |table| {
                information::describe(table, profile)
            })
        }
        Statement::ShowColumns { table, is_full, like } => {
            with_table(cluster, session, &table, SqlError::unknown_table, |table| {
                information::columns_of(table, is_full, like.as_deref(), profile)
            })
        }
        Statement::ShowCreateTable(name) => {
            let missing = |name: &str, _| SqlError::table_not_found(name);
            with_table(cluster, session, &name, missing, |table| {
                information::create_table(&name.table, table, profile)
            })
        }
        statement => ddl::execute(cluster, session, statement).map(|()| Outcome::Done),
    }
}

/// A user without rights may look at the session and nothing else.
fn check_rights(statement: &Statement, session: &Session, cluster: &Cluster) -> Result<(), SqlError> {
    if session.user.rights == Rights::All {
        return Ok(());
    }
    let privilege = match statement {
        Statement::CreateDatabase { .. } => "CREATE DATABASE",
        Statement::CreateTable(_) => "CREATE TABLE",
        Statement::DropDatabase { .. } => "DROP",
        Statement::ShowBackends => "OPERATE",
        _ => return Ok(()),
    };
    Err(SqlError::denied(privilege, "CATALOG default_catalog", cluster.profile()))
}

pub(super) fn database_of(session: &Session, name: Option<&String>) -> Result<String, SqlError> {
    name.or(session.database.as_ref()).cloned().ok_or_else(SqlError::no_database_selected)
}

/// Finds a table, then looks at rights: an unknown object is reported first (§12.2).
pub(super) fn find_table<'c>(
    catalog: &'c Catalog,
    session: &Session,
    name: &TableName,
    missing: impl Fn(&str, Profile) -> SqlError,
    profile: Profile,
) -> Result<(String, &'c Table), SqlError> {
    let database = database_of(session, name.database.as_ref())?;
    let content =
        catalog.databases.get(&database).ok_or_else(|| SqlError::unknown_database(&database, profile))?;
    let table = content.tables.get(&name.table).ok_or_else(|| missing(&name.table, profile))?;
    if session.user.rights == Rights::None {
        return Err(SqlError::denied("any", &format!("TABLE {}", name.table), profile));
    }
    Ok((database, table))
}

fn with_table(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    missing: impl Fn(&str, Profile) -> SqlError,
    show: impl FnOnce(&Table) -> Rows,
) -> Result<Outcome, SqlError> {
    let catalog = locked(&cluster.catalog);
    let (_, table) = find_table(&catalog, session, name, missing, cluster.profile())?;
    Ok(Outcome::Rows(show(table)))
}

/// A session as a scope: variables and functions, no columns.
pub(super) struct SessionScope<'s> {
    pub(super) session: &'s Session,
    pub(super) profile: Profile,
}

impl Scope for SessionScope<'_> {
    fn column(&self, _name: &str) -> Option<Value> {
        None
    }

    fn variable(&self, name: &str) -> Option<Value> {
        let name = name.rsplit('.').next().unwrap_or_default().to_lowercase();
        self.session.variables.get(&name).cloned()
    }

    fn call(&self, function: &str, arguments: &[Value]) -> Option<Value> {
        let session = self.session;
        let text =
            |value: &Value| value.print(true).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Some(match (function.to_lowercase().as_str(), arguments) {
            ("version", []) => Value::text(self.profile.greeting_version()),
            ("current_version", []) => Value::text(self.profile.release()),
            ("database" | "schema", []) => session.database.as_deref().map_or(Value::Null, Value::text),
            ("user" | "session_user", []) => {
                Value::text(format!("'{}'@'{}'", session.user.name, session.client))
            }
            ("current_user", []) => Value::text(format!("'{}'@'%'", session.user.name)),
            ("connection_id", []) => Value::Integer(session.connection.into()),
            ("concat", values) => {
                let texts: Option<Vec<_>> = values.iter().map(text).collect();
                texts.map_or(Value::Null, |texts| Value::text(texts.concat()))
            }
            ("hex", [value]) => value.print(true).map_or(Value::Null, |bytes| {
                Value::text(bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>())
            }),
            ("length", [value]) => {
                value.print(true).map_or(Value::Null, |bytes| Value::Integer(bytes.len() as i128))
            }
            _ => return None,
        })
    }

    fn profile(&self) -> Profile {
        self.profile
    }
}

fn set(cluster: &Cluster, session: &mut Session, assignments: &[Assignment]) -> Result<Outcome, SqlError> {
    for Assignment { name, value } in assignments {
        let value = value.evaluate(&SessionScope { session, profile: cluster.profile() })?;
        match name.as_str() {
            "names" | "transaction" => {}
            _ if session.variables.contains_key(name) => {
                session.variables.insert(name.clone(), value);
            }
            // Variables of later versions and of the optimizer are many; a plain name is taken.
            _ if name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
                && name != "socket" =>
            {
                session.variables.insert(name.clone(), value);
            }
            _ => return Err(SqlError::unknown_variable(name)),
        }
    }
    Ok(Outcome::Done)
}

fn fits(name: &str, like: Option<&str>) -> bool {
    like.is_none_or(|pattern| is_like(name, pattern))
}

fn show_databases(cluster: &Cluster, session: &Session, like: Option<&str>) -> Outcome {
    let catalog = locked(&cluster.catalog);
    let own = catalog.databases.keys().filter(|_| session.user.rights == Rights::All).map(String::as_str);
    let mut names: Vec<&str> = own.chain(["_statistics_", "information_schema", "sys"]).collect();
    names.sort_unstable();
    let rows =
        names.into_iter().filter(|name| fits(name, like)).map(|name| vec![Value::text(name)]).collect();
    Outcome::Rows(Rows::of_text(&["Database"], rows))
}

fn show_tables(
    cluster: &Cluster,
    session: &Session,
    database: Option<String>,
    is_full: bool,
    like: Option<&str>,
) -> Result<Outcome, SqlError> {
    let database = database_of(session, database.as_ref())?;
    let catalog = locked(&cluster.catalog);
    let label = format!("Tables_in_{database}");
    let names: Vec<&str> = if database == "information_schema" {
        information::TABLES.to_vec()
    } else {
        let content = catalog.databases.get(&database);
        let content = content.ok_or_else(|| SqlError::unknown_database(&database, cluster.profile()))?;
        let is_visible = session.user.rights == Rights::All;
        content.tables.keys().filter(|_| is_visible).map(String::as_str).collect()
    };
    let row = |name: &str| {
        let mut row = vec![Value::text(name)];
        if is_full {
            row.push(Value::text("BASE TABLE"));
        }
        row
    };
    let rows = names.into_iter().filter(|name| fits(name, like)).map(row).collect();
    let labels: &[&str] = if is_full { &[&label, "Table_type"] } else { &[&label] };
    Ok(Outcome::Rows(Rows::of_text(labels, rows)))
}

fn show_variables(session: &Session, like: Option<&str>) -> Outcome {
    let variables = session.variables.iter().filter(|(name, _)| fits(name, like));
    let rows = variables.map(|(name, value)| vec![Value::text(name.as_str()), printed(value)]).collect();
    Outcome::Rows(Rows::of_text(&["Variable_name", "Value"], rows))
}

fn printed(value: &Value) -> Value {
    match value {
        Value::Boolean(value) => Value::text(if *value { "true" } else { "false" }),
        other => other.print(true).map_or(Value::Null, |text| Value::text(String::from_utf8_lossy(&text))),
    }
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

fn show_alter(
    cluster: &Cluster,
    session: &Session,
    database: Option<String>,
    tail: &Tail,
) -> Result<Outcome, SqlError> {
    let database = database_of(session, database.as_ref())?;
    let catalog = locked(&cluster.catalog);
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
