//! SELECT over one table, stored or generated.

use std::cmp::Ordering;

use super::{
    SqlError,
    aggregate::{evaluate_over, group},
    execute::{Rows, SessionScope, find_table},
    expression::{Expression, Scope, truth},
    information,
    session::Session,
    statement::{Direction, Select, SelectItem, Tail},
};
use crate::{
    Profile,
    catalog::{SqlType, Table},
    cluster::Cluster,
    grants::Privilege,
    locked,
    value::Value,
};

/// The table that a query reads.
pub(super) struct Source<'r> {
    pub(super) fields: &'r [(String, SqlType)],
    pub(super) rows: &'r mut dyn Iterator<Item = &'r [Value]>,
}

/// An output column: its expression and its label.
type Item = (Expression, String);

pub(super) fn run(cluster: &Cluster, session: &Session, select: &Select) -> Result<Rows, SqlError> {
    let profile = cluster.profile();
    let scope = SessionScope { session, profile };
    let Some(name) = &select.from else {
        check_backend(cluster, select, false)?;
        let row: &[Value] = &[];
        let source = Source { fields: &[], rows: &mut std::iter::once(row) };
        return over(source, items(select, &[])?, &select.tail, &scope);
    };
    let database = name.database.as_ref().or(session.database.as_ref());
    if database.is_some_and(|database| database.eq_ignore_ascii_case("information_schema")) {
        check_backend(cluster, select, true)?;
        let made = information::schema_table(cluster, session, &name.table);
        let made = made
            .ok_or_else(|| SqlError::unknown_table(&format!("information_schema.{}", name.table), profile))?;
        let source = Source { fields: &made.fields, rows: &mut made.rows.iter().map(Vec::as_slice) };
        return over(source, items(select, &made.fields)?, &select.tail, &scope);
    }
    let current = session.database.clone().unwrap_or_default();
    let missing = |table: &str, profile| {
        SqlError::unknown_table(&format!("{}.{table}", name.database.as_ref().unwrap_or(&current)), profile)
    };
    let known = cluster.catalog_of(session.frontend);
    let (database, table) = find_table(cluster, &known, session, name, Some(Privilege::Select), missing)?;
    let id = table.id;
    drop(known);
    check_backend(cluster, select, true)?;
    // The columns that a follower knows may be out of date; the rows are always current.
    let catalog = locked(&cluster.catalog);
    let table = catalog
        .databases
        .get(&database)
        .and_then(|content| content.tables.values().find(|table| table.id == id));
    let table = table.ok_or_else(|| missing(&name.table, profile))?;
    let fields = fields_of(table);
    let source = Source { fields: &fields, rows: &mut table.rows.values().map(AsRef::as_ref) };
    over(source, items(select, &fields)?, &select.tail, &scope)
}

pub(super) fn fields_of(table: &Table) -> Vec<(String, SqlType)> {
    table.columns().iter().map(|column| (column.name.clone(), column.sql_type.clone())).collect()
}

/// Rows and `current_version()` need a BE (§12.1).
fn check_backend(cluster: &Cluster, select: &Select, reads_rows: bool) -> Result<(), SqlError> {
    let calls_backend = select.items.iter().any(|item| match item {
        SelectItem::Expression { expression: Expression::Call { function, .. }, .. } => {
            function.eq_ignore_ascii_case("current_version")
        }
        _ => false,
    });
    if reads_rows || calls_backend { need_backend(cluster) } else { Ok(()) }
}

pub(super) fn need_backend(cluster: &Cluster) -> Result<(), SqlError> {
    if cluster.online_backends() == 0 {
        return Err(SqlError::plain("Backend node not found. Check if any backend node is down.".to_owned()));
    }
    Ok(())
}

fn items(select: &Select, fields: &[(String, SqlType)]) -> Result<Vec<Item>, SqlError> {
    let mut items = Vec::new();
    for item in &select.items {
        match item {
            SelectItem::Everything if fields.is_empty() => {
                return Err(SqlError::analyzing("No tables used"));
            }
            SelectItem::Everything => {
                items.extend(fields.iter().map(|(name, _)| (Expression::Column(name.clone()), name.clone())));
            }
            SelectItem::Expression { expression, alias } => {
                let label = alias.clone().unwrap_or_else(|| expression.print());
                items.push((expression.clone(), label));
            }
        }
    }
    Ok(items)
}

/// A row of a source, with the session for variables and functions.
pub(super) struct RowScope<'r> {
    pub(super) fields: &'r [(String, SqlType)],
    pub(super) row: &'r [Value],
    pub(super) session: &'r SessionScope<'r>,
}

impl Scope for RowScope<'_> {
    fn column(&self, name: &str) -> Option<Value> {
        self.row.get(position(self.fields, name)?).cloned()
    }

    fn variable(&self, name: &str) -> Option<Value> {
        self.session.variable(name)
    }

    fn call(&self, function: &str, arguments: &[Value]) -> Option<Value> {
        self.session.call(function, arguments)
    }

    fn profile(&self) -> Profile {
        self.session.profile
    }
}

fn position(fields: &[(String, SqlType)], name: &str) -> Option<usize> {
    fields.iter().position(|(field, _)| field.to_lowercase() == name.to_lowercase())
}

pub(super) fn over(
    source: Source<'_>,
    items: Vec<Item>,
    tail: &Tail,
    session: &SessionScope<'_>,
) -> Result<Rows, SqlError> {
    let Source { fields, rows } = source;
    check_names(fields, &items, tail, session)?;
    let scope = |row| RowScope { fields, row, session };
    let mut kept: Vec<&[Value]> = Vec::new();
    for row in rows {
        let is_kept = match &tail.filter {
            None => true,
            Some(filter) => truth(&filter.evaluate(&scope(row))?) == Some(true),
        };
        if is_kept {
            kept.push(row);
        }
    }
    let is_aggregate =
        !tail.group.is_empty() || items.iter().any(|(expression, _)| expression.is_aggregate());
    let groups = if is_aggregate {
        group(kept, &tail.group, &scope)?
    } else {
        kept.into_iter().map(|row| vec![row]).collect()
    };
    let mut sorted = Vec::with_capacity(groups.len());
    for rows in &groups {
        let value = |expression: &Expression| evaluate_over(expression, rows, fields, session);
        let output = items.iter().map(|(expression, _)| value(expression)).collect::<Result<Vec<_>, _>>()?;
        let mut keys = Vec::with_capacity(tail.order.len());
        for (expression, _) in &tail.order {
            keys.push(match output_place(expression, &items) {
                Some(place) => output.get(place).cloned().unwrap_or(Value::Null),
                None => value(expression)?,
            });
        }
        sorted.push((keys, output));
    }
    sorted.sort_by(|(left, _), (right, _)| compare_keys(left, right, tail));
    let limit = tail.limit.unwrap_or(usize::MAX);
    let rows = sorted.into_iter().skip(tail.offset).take(limit).map(|(_, row)| row).collect();
    let fields =
        items.iter().map(|(expression, label)| (label.clone(), type_of(expression, fields))).collect();
    Ok(Rows { fields, rows })
}

/// Names are checked even when there are no rows.
fn check_names(
    fields: &[(String, SqlType)],
    items: &[Item],
    tail: &Tail,
    session: &SessionScope<'_>,
) -> Result<(), SqlError> {
    let nulls = vec![Value::Null; fields.len()];
    let order = tail.order.iter().map(|(expression, _)| expression);
    let order = order.filter(|expression| output_place(expression, items).is_none());
    let expressions =
        items.iter().map(|(expression, _)| expression).chain(&tail.filter).chain(&tail.group).chain(order);
    for expression in expressions {
        evaluate_over(expression, &[&nulls], fields, session)?;
    }
    Ok(())
}

fn compare_keys(left: &[Value], right: &[Value], tail: &Tail) -> Ordering {
    let pairs = left.iter().zip(right).zip(&tail.order);
    let mut orders = pairs.map(|((left, right), (_, direction))| match direction {
        Direction::Ascending => left.sort_order(right),
        Direction::Descending => right.sort_order(left),
    });
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// An item of ORDER BY that is a label, or a position counted from one.
fn output_place(expression: &Expression, items: &[Item]) -> Option<usize> {
    match expression {
        Expression::Literal(Value::Integer(number)) => usize::try_from(*number).ok()?.checked_sub(1),
        Expression::Column(name) => items.iter().position(|(_, label)| label.eq_ignore_ascii_case(name)),
        other => items.iter().position(|(expression, _)| expression == other),
    }
}

fn type_of(expression: &Expression, fields: &[(String, SqlType)]) -> SqlType {
    match expression {
        Expression::Column(name) => position(fields, name)
            .and_then(|place| fields.get(place))
            .map_or(SqlType::Varchar(64), |(_, t)| t.clone()),
        Expression::Literal(Value::Integer(_)) => SqlType::BigInt,
        Expression::Literal(Value::Double(_)) => SqlType::Double,
        Expression::Call { function, arguments, .. } => {
            let inner = arguments.first().map(|argument| type_of(argument, fields));
            match (function.to_lowercase().as_str(), inner) {
                ("count" | "connection_id" | "length", _) => SqlType::BigInt,
                ("max" | "min", Some(inner)) => inner,
                ("avg", _) | ("sum", Some(SqlType::Float | SqlType::Double)) => SqlType::Double,
                ("sum", Some(SqlType::Decimal { scale, .. })) => SqlType::Decimal { precision: 38, scale },
                ("sum", Some(SqlType::LargeInt)) => SqlType::LargeInt,
                ("sum", _) => SqlType::BigInt,
                _ => SqlType::Varchar(64),
            }
        }
        Expression::Compare { .. }
        | Expression::And(..)
        | Expression::Or(..)
        | Expression::Not(_)
        | Expression::IsNull { .. }
        | Expression::In { .. }
        | Expression::Like { .. } => SqlType::Boolean,
        _ => SqlType::Varchar(64),
    }
}
