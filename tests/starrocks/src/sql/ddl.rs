//! CREATE, DROP, TRUNCATE and ALTER (§12.4, §12.6). Every change is done when the statement returns.

mod create;

use super::{
    SqlError,
    execute::{database_of, find_table},
    session::Session,
    statement::{Clause, Statement, TableName},
};
use crate::{
    catalog::{AlterJob, Catalog, Place, Table},
    cluster::Cluster,
    locked,
};

/// Seconds that a job of each kind is given, as SHOW ALTER prints them.
const FAST_TIMEOUT: u64 = 1;
const SLOW_TIMEOUT: u64 = 86_400;

pub(super) fn execute(cluster: &Cluster, session: &Session, statement: Statement) -> Result<(), SqlError> {
    match statement {
        Statement::CreateDatabase { name, if_not_exists } => create_database(cluster, &name, if_not_exists),
        Statement::DropDatabase { name, if_exists } => drop_database(cluster, &name, if_exists),
        Statement::CreateTable(create) => create::table(cluster, session, *create),
        Statement::DropTable { table, if_exists } => drop_table(cluster, session, &table, if_exists),
        Statement::TruncateTable(table) => change_table(cluster, session, &table, |_, table| {
            table.truncate();
            Ok(())
        }),
        Statement::AlterTable { table, clauses } => alter(cluster, session, &table, clauses),
        _ => Err(SqlError::syntax(0, "the statement is not supported")),
    }
}

fn create_database(cluster: &Cluster, name: &str, if_not_exists: bool) -> Result<(), SqlError> {
    let starts_well = name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    if !starts_well || name.chars().count() > 256 {
        return Err(SqlError::bad_database_name(name));
    }
    let mut catalog = locked(&cluster.catalog);
    match catalog.databases.contains_key(name) {
        true if if_not_exists => Ok(()),
        true => Err(SqlError::database_exists(name)),
        false => {
            catalog.create_database(name);
            Ok(())
        }
    }
}

fn drop_database(cluster: &Cluster, name: &str, if_exists: bool) -> Result<(), SqlError> {
    if locked(&cluster.catalog).databases.remove(name).is_some() {
        locked(&cluster.transactions).forget_database(name);
        return Ok(());
    }
    if if_exists { Ok(()) } else { Err(SqlError::no_database_to_drop(name)) }
}

fn drop_table(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    if_exists: bool,
) -> Result<(), SqlError> {
    let mut catalog = locked(&cluster.catalog);
    match find_table(&catalog, session, name, SqlError::unknown_table, cluster.profile())
        .map(|(database, _)| database)
    {
        Ok(database) => {
            if let Some(content) = catalog.databases.get_mut(&database) {
                content.tables.remove(&name.table);
            }
            Ok(())
        }
        Err(error) if if_exists && error == SqlError::unknown_table(&name.table, cluster.profile()) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Finds a table for ALTER and TRUNCATE and changes it under the lock.
fn change_table<T>(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    change: impl FnOnce(&str, &mut Table) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    let missing = |name: &str, _| SqlError::table_not_found(name);
    let mut catalog = locked(&cluster.catalog);
    let (database, _) = find_table(&catalog, session, name, missing, cluster.profile())?;
    let table = catalog.databases.get_mut(&database).and_then(|content| content.tables.get_mut(&name.table));
    let table = table.ok_or_else(|| SqlError::table_not_found(&name.table))?;
    change(&database, table)
}

fn alter(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    clauses: Vec<Clause>,
) -> Result<(), SqlError> {
    for clause in &clauses {
        check_clause(cluster, clause)?;
    }
    if let [Clause::RenameTable(to)] = clauses.as_slice() {
        return move_table(cluster, session, name, to, false);
    }
    if let [Clause::SwapWith(other)] = clauses.as_slice() {
        return move_table(cluster, session, name, other, true);
    }
    let database = database_of(session, name.database.as_ref())?;
    let job = change_table(cluster, session, name, |_, table| {
        // Tried on a table without rows first: a statement changes everything or nothing.
        let mut trial = table.without_rows();
        apply_all(cluster, &mut trial, &name.table, &clauses)?;
        let job = apply_all(cluster, table, &name.table, &clauses)?;
        table.schema_version += u64::from(job.is_some());
        Ok(job.map(|timeout| (timeout, table.id, table.schema_version)))
    })?;
    if let Some((timeout_seconds, index_id, schema_version)) = job {
        let transaction = locked(&cluster.transactions).next_id();
        let mut catalog = locked(&cluster.catalog);
        let job = AlterJob {
            id: catalog.next_id(),
            table: name.table.clone(),
            created_millis: cluster.clock.now(),
            index_id,
            schema_version,
            transaction,
            timeout_seconds,
        };
        record(&mut catalog, &database, job);
    }
    Ok(())
}

fn record(catalog: &mut Catalog, database: &str, job: AlterJob) {
    if let Some(content) = catalog.databases.get_mut(database) {
        content.alter_jobs.push(job);
    }
}

/// What the analyzer refuses before it looks at the table.
fn check_clause(cluster: &Cluster, clause: &Clause) -> Result<(), SqlError> {
    let (Clause::AddColumn(spec, _) | Clause::ModifyColumn(spec)) = clause else { return Ok(()) };
    create::check_column(spec, cluster.profile())?;
    let Clause::AddColumn(_, place) = clause else { return Ok(()) };
    if spec.nullable == Some(false) && spec.default.is_none() {
        let detail = format!("Field '{}' is not null but doesnt have a default value", spec.name);
        return Err(SqlError::analyzing(&detail));
    }
    match place {
        Place::First => Err(SqlError::analyzing(&format!("Cannot add value column[{}] at first", spec.name))),
        _ => Ok(()),
    }
}

/// Returns the timeout of the job that this leaves in SHOW ALTER, if it leaves one.
fn apply_all(
    cluster: &Cluster,
    table: &mut Table,
    name: &str,
    clauses: &[Clause],
) -> Result<Option<u64>, SqlError> {
    let mut job = None;
    for clause in clauses {
        let left = apply(cluster, table, name, clause)?;
        job = job.max(left);
    }
    Ok(job)
}

fn apply(cluster: &Cluster, table: &mut Table, name: &str, clause: &Clause) -> Result<Option<u64>, SqlError> {
    let is_fast = table.spec.properties.get("fast_schema_evolution").is_some_and(|value| value == "true");
    let timeout = if is_fast { FAST_TIMEOUT } else { SLOW_TIMEOUT };
    match clause {
        Clause::AddColumn(spec, place) => {
            table.add_column(spec, place, cluster.clock.now()).map(|()| Some(timeout))
        }
        Clause::DropColumn(column) => table.drop_column(column).map(|()| Some(timeout)),
        Clause::ModifyColumn(spec) => {
            Ok(table.modify_column(spec, cluster.profile())?.then_some(SLOW_TIMEOUT))
        }
        Clause::RenameColumn { from, to } => table.rename_column(from, to, name).map(|()| None),
        Clause::SetComment(comment) => {
            table.spec.comment.clone_from(comment);
            Ok(None)
        }
        Clause::SetProperties(properties) => {
            table.spec.properties.extend(properties.clone());
            Ok(None)
        }
        Clause::RenameTable(_) | Clause::SwapWith(_) => {
            Err(SqlError::analyzing("RENAME and SWAP stand alone in a statement"))
        }
    }
}

fn move_table(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    to: &str,
    is_swap: bool,
) -> Result<(), SqlError> {
    let missing = |name: &str, _| SqlError::table_not_found(name);
    let mut catalog = locked(&cluster.catalog);
    let (database, _) = find_table(&catalog, session, name, missing, cluster.profile())?;
    let Some(content) = catalog.databases.get_mut(&database) else { return Ok(()) };
    match (content.tables.contains_key(to), is_swap) {
        (true, false) => return Err(SqlError::table_exists(to)),
        (false, true) => return Err(SqlError::table_not_found(to)),
        _ => {}
    }
    let other = content.tables.remove(to);
    if let Some(table) = content.tables.remove(&name.table) {
        content.tables.insert(to.to_owned(), table);
    }
    if let Some(other) = other {
        content.tables.insert(name.table.clone(), other);
    }
    Ok(())
}
