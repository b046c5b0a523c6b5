//! Executes a statement.

use super::{
    SqlError, catalogue, change, ddl,
    expression::{Expression, Scope, is_like},
    information,
    parser::parse,
    select,
    session::Session,
    shown,
    statement::{Assignment, Narrow, Statement, TableName, Tail},
    users, variables,
};
use crate::{
    Profile, Rights,
    catalog::{Catalog, SqlType, Table},
    cluster::Cluster,
    grants::{Object, Privilege},
    value::Value,
};

pub(super) enum Outcome {
    Done,
    /// Done, with the number of changed rows.
    Changed(usize),
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
        Statement::ShowDatabases(narrow) => {
            narrowed(session, profile, shown::databases(cluster, session), &narrow)
        }
        Statement::ShowTables { database, is_full, narrow } => {
            narrowed(session, profile, shown::tables(cluster, session, database, is_full)?, &narrow)
        }
        Statement::ShowTableStatus { database, narrow } => {
            let rows = catalogue::table_status(cluster, session, database.as_ref())?;
            narrowed(session, profile, rows, &narrow)
        }
        Statement::ShowVariables(narrow) => narrowed(session, profile, shown::variables(session), &narrow),
        Statement::ShowFixed(listing) => Ok(Outcome::Rows(catalogue::fixed(listing))),
        Statement::ShowProcesslist => Ok(Outcome::Rows(catalogue::processes(cluster, session))),
        Statement::ShowIndex(table) => {
            with_table(cluster, session, &table, SqlError::unknown_table, catalogue::indexes)
        }
        Statement::ShowPartitions(table) => catalogue::partitions(cluster, session, &table),
        Statement::ShowFunctions { database, is_full } => {
            catalogue::functions(cluster, session, database.as_ref(), is_full).map(Outcome::Rows)
        }
        Statement::ShowCreateDatabase(name) => {
            catalogue::create_database(cluster, session, &name).map(Outcome::Rows)
        }
        Statement::ShowGrants => Ok(Outcome::Rows(catalogue::grants(session))),
        Statement::ShowFrontends => Ok(Outcome::Rows(catalogue::frontends(cluster))),
        Statement::ShowProc(path) => {
            let backends = || information::backends(cluster);
            catalogue::proc(cluster, session, &path, backends).map(Outcome::Rows)
        }
        Statement::ShowBackends => Ok(Outcome::Rows(information::backends(cluster))),
        Statement::Kill { connection, is_query } => match cluster.kill(connection, !is_query) {
            true => Ok(Outcome::Done),
            false => Err(SqlError::unknown_thread(connection)),
        },
        Statement::Delete { table, filter } => {
            change::delete(cluster, session, &table, filter.as_ref()).map(Outcome::Changed)
        }
        Statement::Update { table, assignments, filter } => {
            change::update(cluster, session, &table, &assignments, filter.as_ref()).map(Outcome::Changed)
        }
        Statement::ShowAlterColumn { database, tail } => shown::alter(cluster, session, database, &tail),
        Statement::Describe(table) => {
            with_table(cluster, session, &table, SqlError::unknown_table, |table| {
                information::describe(table, profile)
            })
        }
        Statement::ShowColumns { table, is_full, narrow } => {
            let shown = with_table(cluster, session, &table, SqlError::unknown_table, |table| {
                information::columns_of(table, is_full, profile)
            });
            match shown? {
                Outcome::Rows(rows) => narrowed(session, profile, rows, &narrow),
                other => Ok(other),
            }
        }
        Statement::ShowCreateTable(name) => {
            let missing = |name: &str, _| SqlError::table_not_found(name);
            with_table(cluster, session, &name, missing, |table| {
                information::create_table(&name.table, table, profile)
            })
        }
        Statement::Grant(grant) => {
            users::grant(cluster, &grant)?;
            Ok(Outcome::Done)
        }
        Statement::CreateUser { name, password, if_not_exists } => {
            users::create(cluster, &name, &password, if_not_exists).map(|()| Outcome::Done)
        }
        Statement::DropUser { name, if_exists } => {
            users::remove(cluster, &name, if_exists).map(|()| Outcome::Done)
        }
        Statement::ShowConfig(narrow) => narrowed(session, profile, shown::config(cluster), &narrow),
        statement => {
            cluster.before_change();
            ddl::execute(cluster, session, statement).map(|()| Outcome::Done)
        }
    }
}

/// Checks the rights that are needed before any object is read.
fn check_rights(statement: &Statement, session: &Session, cluster: &Cluster) -> Result<(), SqlError> {
    match statement {
        // Needed even when the database exists and the statement says IF NOT EXISTS (§12.2).
        Statement::CreateDatabase { .. } => {
            check_right(cluster, session, Privilege::CreateDatabase, &Object::Catalog)
        }
        Statement::ShowBackends if cluster.may(&session.user, Some(Privilege::Node), &Object::System) => {
            Ok(())
        }
        Statement::ShowFrontends if cluster.may(&session.user, Some(Privilege::Node), &Object::System) => {
            Ok(())
        }
        Statement::ShowBackends | Statement::ShowFrontends | Statement::ShowProc(_) => {
            check_right(cluster, session, Privilege::Operate, &Object::System)
        }
        Statement::Grant(_) | Statement::CreateUser { .. } | Statement::DropUser { .. }
            if session.user.rights == Rights::None =>
        {
            Err(SqlError::denied("GRANT", "SYSTEM", cluster.profile()))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_right(
    cluster: &Cluster,
    session: &Session,
    privilege: Privilege,
    object: &Object,
) -> Result<(), SqlError> {
    if cluster.may(&session.user, Some(privilege), object) {
        return Ok(());
    }
    Err(SqlError::denied(privilege.name(), &object.print(), cluster.profile()))
}

/// The rows that LIKE or WHERE selects.
fn narrowed(
    session: &Session,
    profile: Profile,
    mut shown: Rows,
    narrow: &Narrow,
) -> Result<Outcome, SqlError> {
    let filter = match narrow {
        Narrow::Everything => return Ok(Outcome::Rows(shown)),
        Narrow::Like(pattern) => {
            let name = |row: &[Value]| row.first().and_then(|value| value.print(true)).unwrap_or_default();
            shown.rows.retain(|row| is_like(&String::from_utf8_lossy(&name(row)), pattern));
            return Ok(Outcome::Rows(shown));
        }
        Narrow::Where(filter) => filter.clone(),
    };
    let source = select::Source { fields: &shown.fields, rows: &mut shown.rows.iter().map(Vec::as_slice) };
    let items = shown.fields.iter().map(|(name, _)| (Expression::Column(name.clone()), name.clone()));
    let tail = Tail { filter: Some(filter), ..Tail::default() };
    select::over(source, items.collect(), &tail, &SessionScope { session, profile }).map(Outcome::Rows)
}

pub(super) fn database_of(session: &Session, name: Option<&String>) -> Result<String, SqlError> {
    name.or(session.database.as_ref()).cloned().ok_or_else(SqlError::no_database_selected)
}

/// Finds a table, then checks rights: an unknown object is reported first (§12.2). Without a named privilege any one is
/// enough.
pub(super) fn find_table<'c>(
    cluster: &Cluster,
    catalog: &'c Catalog,
    session: &Session,
    name: &TableName,
    wanted: Option<Privilege>,
    missing: impl Fn(&str, Profile) -> SqlError,
) -> Result<(String, &'c Table), SqlError> {
    let profile = cluster.profile();
    let database = database_of(session, name.database.as_ref())?;
    let content =
        catalog.databases.get(&database).ok_or_else(|| SqlError::unknown_database(&database, profile))?;
    let table = content.tables.get(&name.table).ok_or_else(|| missing(&name.table, profile))?;
    let object = Object::Table(database.clone(), name.table.clone());
    if !cluster.may(&session.user, wanted, &object) {
        return Err(SqlError::denied(wanted.map_or("any", Privilege::name), &object.print(), profile));
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
    let catalog = cluster.catalog_of(session.frontend);
    let (_, table) = find_table(cluster, &catalog, session, name, None, missing)?;
    Ok(Outcome::Rows(show(table)))
}

/// The session as a scope: variables and functions, no columns.
pub(super) struct SessionScope<'s> {
    pub(super) session: &'s Session,
    pub(super) profile: Profile,
}

impl Scope for SessionScope<'_> {
    fn column(&self, _name: &str) -> Option<Value> {
        None
    }

    fn variable(&self, name: &str) -> Option<Value> {
        // A user variable is NULL until it is set.
        if name.starts_with('@') {
            return Some(self.session.variables.get(&name.to_lowercase()).cloned().unwrap_or(Value::Null));
        }
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
    for Assignment { name, is_global, value } in assignments {
        let value = value.evaluate(&SessionScope { session, profile: cluster.profile() })?;
        match name.as_str() {
            "names" | "transaction" => continue,
            _ if name.starts_with('@') => {}
            _ => variables::check(&session.variables, name, *is_global, &value)?,
        }
        session.variables.insert(name.clone(), value);
    }
    Ok(Outcome::Done)
}
