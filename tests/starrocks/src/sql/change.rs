//! DELETE and UPDATE of a table with a primary key: WHERE may use any column and is required.

use super::{
    SqlError,
    execute::{SessionScope, find_table},
    expression::{Expression, truth},
    select::{self, RowScope},
    session::Session,
    statement::TableName,
};
use crate::{
    catalog::{Column, SqlType},
    cluster::Cluster,
    convert,
    grants::Privilege,
    locked,
    value::Value,
};

/// The rows that a statement selects, and the scope in which it evaluates expressions.
struct Chosen<'s> {
    fields: Vec<(String, SqlType)>,
    filter: &'s Expression,
    scope: SessionScope<'s>,
}

impl Chosen<'_> {
    fn evaluate(&self, expression: &Expression, row: &[Value]) -> Result<Value, SqlError> {
        expression.evaluate(&RowScope { fields: &self.fields, row, session: &self.scope })
    }

    fn has(&self, row: &[Value]) -> bool {
        self.evaluate(self.filter, row).is_ok_and(|value| truth(&value) == Some(true))
    }

    /// Names are checked even when there are no rows.
    fn check(&self, expression: &Expression) -> Result<(), SqlError> {
        let nulls = vec![Value::Null; self.fields.len()];
        self.evaluate(expression, &nulls).map(drop)
    }
}

/// Returns the number of deleted rows.
pub(super) fn delete(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    filter: Option<&Expression>,
) -> Result<usize, SqlError> {
    let missing = |name: &str, _| SqlError::table_not_found(name);
    let mut catalog = locked(&cluster.catalog);
    let (database, table) = find_table(cluster, &catalog, session, name, Some(Privilege::Delete), missing)?;
    let filter = filter.ok_or_else(|| {
        SqlError::analyzing("Delete must specify where clause to prevent full table delete")
    })?;
    let scope = SessionScope { session, profile: cluster.profile() };
    let (id, chosen) = (table.id, Chosen { fields: select::fields_of(table), filter, scope });
    chosen.check(filter)?;
    select::need_backend(cluster)?;
    let Some(table) = catalog.table_by_id(&database, id) else { return Ok(0) };
    let before = table.rows.len();
    table.rows.retain(|_, row| !chosen.has(row));
    table.count_version();
    Ok(before - table.rows.len())
}

/// Returns the number of changed rows.
pub(super) fn update(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    assignments: &[(String, Expression)],
    filter: Option<&Expression>,
) -> Result<usize, SqlError> {
    let missing = |name: &str, _| SqlError::table_not_found(name);
    let mut catalog = locked(&cluster.catalog);
    let (database, table) = find_table(cluster, &catalog, session, name, Some(Privilege::Update), missing)?;
    let filter = filter
        .ok_or_else(|| SqlError::analyzing("must specify where clause to prevent full table update"))?;
    let scope = SessionScope { session, profile: cluster.profile() };
    let (id, columns) = (table.id, table.columns().to_vec());
    let chosen = Chosen { fields: select::fields_of(table), filter, scope };
    chosen.check(filter)?;
    let places = assignments.iter().map(|(name, value)| {
        chosen.check(value)?;
        place_of(&columns, name)
    });
    let places = places.collect::<Result<Vec<_>, _>>()?;
    select::need_backend(cluster)?;
    let Some(table) = catalog.table_by_id(&database, id) else { return Ok(0) };
    let mut changed = 0;
    for row in table.rows.values_mut().filter(|row| chosen.has(row)) {
        let values = assignments.iter().map(|(_, value)| chosen.evaluate(value, row));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        for (place, value) in places.iter().zip(values) {
            if let (Some(slot), Some(column)) = (row.get_mut(*place), columns.get(*place)) {
                *slot = convert::again(&value, column);
            }
        }
        changed += 1;
    }
    table.count_version();
    Ok(changed)
}

/// The index of a column that may be changed.
fn place_of(columns: &[Column], name: &str) -> Result<usize, SqlError> {
    let place = columns.iter().position(|column| column.is_named(name));
    let place = place.ok_or_else(|| SqlError::analyzing(&format!("table do not existing column {name}")))?;
    match columns.get(place).is_some_and(|column| column.is_key) {
        true => Err(SqlError::analyzing(&format!("primary key column cannot be updated: {name}"))),
        false => Ok(place),
    }
}
