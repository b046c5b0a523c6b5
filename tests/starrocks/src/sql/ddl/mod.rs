//! CREATE, DROP and TRUNCATE (§12.4); ALTER has its own module.

mod alter;
mod column_check;
mod create;

use super::{
    SqlError,
    execute::{check_right, find_table},
    session::Session,
    statement::{Statement, TableName},
};
use crate::{
    catalog::Table,
    cluster::Cluster,
    grants::{Object, Privilege},
    locked,
};

pub(super) fn execute(cluster: &Cluster, session: &Session, statement: Statement) -> Result<(), SqlError> {
    match statement {
        Statement::CreateDatabase { name, if_not_exists } => create_database(cluster, &name, if_not_exists),
        Statement::DropDatabase { name, if_exists } => drop_database(cluster, session, &name, if_exists),
        Statement::CreateTable(create) => create::table(cluster, session, *create),
        Statement::CreateTableLike { table, model, if_not_exists } => {
            create::like(cluster, session, &table, &model, if_not_exists)
        }
        Statement::DropTable { table, if_exists } => drop_table(cluster, session, &table, if_exists),
        Statement::TruncateTable(table) => {
            with_settled_table(cluster, session, &table, Privilege::Delete, |_, table| table.truncate())
        }
        Statement::AlterTable { table, clauses } => alter::table(cluster, session, &table, &clauses),
        Statement::CancelAlter(table) => alter::cancel(cluster, session, &table),
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

fn drop_database(cluster: &Cluster, session: &Session, name: &str, if_exists: bool) -> Result<(), SqlError> {
    if locked(&cluster.catalog).databases.contains_key(name) {
        check_right(cluster, session, Privilege::Drop, &Object::Database(name.to_owned()))?;
    }
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
    match find_table(cluster, &catalog, session, name, Some(Privilege::Drop), SqlError::unknown_table)
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

/// Finds a table without a running schema change, and changes it under the lock.
fn with_settled_table(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    wanted: Privilege,
    change: impl FnOnce(&str, &mut Table),
) -> Result<(), SqlError> {
    let missing = |name: &str, _| SqlError::table_not_found(name);
    let mut catalog = locked(&cluster.catalog);
    let (database, table) = find_table(cluster, &catalog, session, name, Some(wanted), missing)?;
    let id = table.id;
    let content = catalog.databases.get_mut(&database);
    let content = content.ok_or_else(|| SqlError::unknown_database(&database, cluster.profile()))?;
    if content.open_job(id).is_some() {
        return Err(SqlError::not_normal(&name.table));
    }
    if let Some(table) = content.tables.get_mut(&name.table) {
        change(&database, table);
    }
    Ok(())
}
