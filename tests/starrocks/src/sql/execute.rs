//! Carries a statement out.

use super::{
    SqlError, ddl,
    expression::Scope,
    information,
    parser::parse,
    select,
    session::Session,
    shown,
    statement::{Assignment, Statement, TableName},
    users,
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
        Statement::ShowDatabases { like } => Ok(shown::databases(cluster, session, like.as_deref())),
        Statement::ShowTables { database, is_full, like } => {
            shown::tables(cluster, session, database, is_full, like.as_deref())
        }
        Statement::ShowVariables { like } => Ok(shown::variables(session, like.as_deref())),
        Statement::ShowNothing(names) => Ok(Outcome::Rows(Rows::of_text(names, Vec::new()))),
        Statement::ShowBackends => Ok(Outcome::Rows(information::backends(cluster))),
        Statement::ShowAlterColumn { database, tail } => shown::alter(cluster, session, database, &tail),
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
        Statement::ShowConfig { like } => Ok(Outcome::Rows(shown::config(cluster, like.as_deref()))),
        statement => {
            cluster.before_change();
            ddl::execute(cluster, session, statement).map(|()| Outcome::Done)
        }
    }
}

/// What needs a right before anything is looked at.
fn check_rights(statement: &Statement, session: &Session, cluster: &Cluster) -> Result<(), SqlError> {
    match statement {
        // Even when the database exists and IF NOT EXISTS says so (§12.2).
        Statement::CreateDatabase { .. } => {
            check_right(cluster, session, Privilege::CreateDatabase, &Object::Catalog)
        }
        Statement::ShowBackends if cluster.may(&session.user, Some(Privilege::Node), &Object::System) => {
            Ok(())
        }
        Statement::ShowBackends => check_right(cluster, session, Privilege::Operate, &Object::System),
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

pub(super) fn database_of(session: &Session, name: Option<&String>) -> Result<String, SqlError> {
    name.or(session.database.as_ref()).cloned().ok_or_else(SqlError::no_database_selected)
}

/// Finds a table, then looks at rights: an unknown object is reported first (§12.2). Without a privilege any will do.
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
