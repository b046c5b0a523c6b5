//! ALTER TABLE: changes that are done when the statement returns, and changes that become a job (§12.6).

use std::collections::BTreeMap;

use super::{
    super::{
        SqlError,
        execute::find_table,
        session::Session,
        statement::{Clause, TableName},
    },
    column_check, create, with_settled_table,
};
use crate::{
    Mode, Profile,
    catalog::{AlterJob, Catalog, JobState, Place, SchemaChange, Table},
    cluster::Cluster,
    grants::Privilege,
    locked,
};

/// The timeouts in seconds of the two kinds of jobs, as SHOW ALTER prints them.
const FAST_TIMEOUT: u64 = 1;
const SLOW_TIMEOUT: u64 = 86_400;

pub(super) fn table(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    clauses: &[Clause],
) -> Result<(), SqlError> {
    for clause in clauses {
        check_clause(cluster, clause)?;
    }
    match clauses {
        [Clause::RenameTable(to)] => return move_table(cluster, session, name, to, false),
        [Clause::SwapWith(other)] => return move_table(cluster, session, name, other, true),
        _ => {}
    }
    let missing = |name: &str, _| SqlError::table_not_found(name);
    let mut catalog = locked(&cluster.catalog);
    let (database, table) = find_table(cluster, &catalog, session, name, Some(Privilege::Alter), missing)?;
    let place = (database, table.id);
    if catalog.databases.get_mut(&place.0).and_then(|content| content.open_job(place.1)).is_some() {
        return Err(SqlError::alter_in_progress(&name.table));
    }
    alter(cluster, &mut catalog, &place, &name.table, clauses)
}

fn alter(
    cluster: &Cluster,
    catalog: &mut Catalog,
    (database, table_id): &(String, u64),
    name: &str,
    clauses: &[Clause],
) -> Result<(), SqlError> {
    let (profile, now) = (cluster.profile(), cluster.clock.now());
    let missing = || SqlError::table_not_found(name);
    let table = catalog.table_by_id(database, *table_id).ok_or_else(missing)?;
    // Tried on a copy without rows first: a statement changes everything or nothing.
    let mut trial = table.without_rows();
    let mut changes = Vec::new();
    for clause in clauses {
        changes.extend(apply(&mut trial, name, clause, profile, now)?);
    }
    let is_fast =
        is_fast(cluster, table) && !changes.iter().any(|change| matches!(change, SchemaChange::Modify(_)));
    for clause in clauses {
        if is_fast || !matches!(clause, Clause::Schema(_)) {
            apply(table, name, clause, profile, now)?;
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let schema_version = table.schema_version + 1;
    if is_fast {
        table.schema_version = schema_version;
    }
    let index_id = if is_fast { *table_id } else { catalog.next_id() };
    let job = AlterJob {
        id: catalog.next_id(),
        table: name.to_owned(),
        table_id: *table_id,
        created_millis: now,
        finished_millis: is_fast.then_some(now),
        index_id,
        schema_version,
        transaction: locked(&cluster.transactions).next_id(),
        timeout_seconds: if is_fast { FAST_TIMEOUT } else { SLOW_TIMEOUT },
        state: if is_fast { JobState::Finished } else { JobState::Pending },
        since_millis: now,
        message: String::new(),
        changes,
    };
    if let Some(content) = catalog.databases.get_mut(database) {
        content.alter_jobs.push(job);
    }
    Ok(())
}

/// Whether ADD and DROP COLUMN are done when the statement returns.
fn is_fast(cluster: &Cluster, table: &Table) -> bool {
    let is_asked = table.spec.properties.get("fast_schema_evolution").is_some_and(|value| value == "true");
    match cluster.mode() {
        Mode::Nothing => is_asked,
        Mode::Data => cluster.profile().evolves_fast_in_shared_data(),
    }
}

/// The errors of the analyzer, which are found before the table is read.
fn check_clause(cluster: &Cluster, clause: &Clause) -> Result<(), SqlError> {
    if let Clause::RenameColumn { to, .. } = clause {
        return column_check::check_column_name(to, cluster.profile());
    }
    if let Clause::SetProperties(properties) = clause {
        return check_properties(properties);
    }
    let Clause::Schema(SchemaChange::Add(spec, _) | SchemaChange::Modify(spec)) = clause else {
        return Ok(());
    };
    column_check::check_column(spec, cluster.profile())?;
    let Clause::Schema(SchemaChange::Add(_, place)) = clause else { return Ok(()) };
    if spec.nullable == Some(false) && spec.default.is_none() {
        let detail = format!("Field '{}' is not null but doesnt have a default value", spec.name);
        return Err(SqlError::analyzing(&detail));
    }
    match place {
        Place::First => Err(SqlError::analyzing(&format!("Cannot add value column[{}] at first", spec.name))),
        _ => Ok(()),
    }
}

/// Allows the properties of CREATE that may be changed, and those that only ALTER has.
fn check_properties(properties: &BTreeMap<String, String>) -> Result<(), SqlError> {
    let is_known = |name: &str| {
        create::PROPERTIES.contains(&name)
            || ["default.", "dynamic_partition.", "binlog."].iter().any(|group| name.starts_with(group))
    };
    match properties.keys().find(|name| !is_known(name)) {
        Some(name) => Err(SqlError::analyzing(&format!("Unknown table property: [{name}]"))),
        None => Ok(()),
    }
}

/// Applies one clause, and returns it when it has changed columns.
fn apply(
    table: &mut Table,
    name: &str,
    clause: &Clause,
    profile: Profile,
    now: i64,
) -> Result<Option<SchemaChange>, SqlError> {
    match clause {
        Clause::Schema(change) => {
            let is_changed = table.change_schema(change, profile, now)?;
            return Ok(is_changed.then(|| change.clone()));
        }
        Clause::RenameColumn { from, to } => table.rename_column(from, to, name)?,
        Clause::SetComment(comment) => table.spec.comment.clone_from(comment),
        Clause::SetProperties(properties) => table.spec.properties.extend(properties.clone()),
        Clause::RenameTable(_) | Clause::SwapWith(_) => {
            return Err(SqlError::analyzing("RENAME and SWAP stand alone in a statement"));
        }
    }
    Ok(None)
}

fn move_table(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    to: &str,
    is_swap: bool,
) -> Result<(), SqlError> {
    let mut database = String::new();
    with_settled_table(cluster, session, name, Privilege::Alter, |found, _| found.clone_into(&mut database))?;
    if !is_swap && to == name.table {
        return Err(SqlError::plain("Same table name".to_owned()));
    }
    let mut catalog = locked(&cluster.catalog);
    let Some(content) = catalog.databases.get_mut(&database) else { return Ok(()) };
    match (content.tables.get(to).map(|table| table.id), is_swap) {
        (Some(_), false) => {
            return Err(SqlError::plain(format!("Table name[{to}] is already used")));
        }
        (None, true) => return Err(SqlError::table_not_found(to)),
        (Some(other), true) if content.open_job(other).is_some() => return Err(SqlError::not_normal(to)),
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

pub(super) fn cancel(cluster: &Cluster, session: &Session, name: &TableName) -> Result<(), SqlError> {
    let missing = |name: &str, _| SqlError::table_not_found(name);
    let mut catalog = locked(&cluster.catalog);
    let (database, table) = find_table(cluster, &catalog, session, name, Some(Privilege::Alter), missing)?;
    let id = table.id;
    match catalog.databases.get_mut(&database).and_then(|content| content.open_job(id)) {
        Some(job) => {
            job.cancel("user cancelled", cluster.clock.now());
            Ok(())
        }
        None => Err(SqlError::plain(format!("Table[{}] is not under SCHEMA_CHANGE.", name.table))),
    }
}
