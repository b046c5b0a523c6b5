//! GROUP BY and the aggregate functions.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{SqlError, execute::SessionScope, expression::Expression, select::RowScope};
use crate::{catalog::SqlType, convert::decimal, value::Value};

pub(super) type Group<'r> = Vec<&'r [Value]>;

pub(super) fn group<'r>(
    rows: Vec<&'r [Value]>,
    by: &[Expression],
    scope: &impl Fn(&'r [Value]) -> RowScope<'r>,
) -> Result<Vec<Group<'r>>, SqlError> {
    if by.is_empty() {
        return Ok(vec![rows]);
    }
    let mut groups: BTreeMap<Vec<Option<Vec<u8>>>, Group<'r>> = BTreeMap::new();
    for row in rows {
        let scope = scope(row);
        let key = by
            .iter()
            .map(|expression| Ok(expression.evaluate(&scope)?.print(true)))
            .collect::<Result<_, _>>()?;
        groups.entry(key).or_default().push(row);
    }
    Ok(groups.into_values().collect())
}

pub(super) fn evaluate_over(
    expression: &Expression,
    rows: &[&[Value]],
    fields: &[(String, SqlType)],
    session: &SessionScope<'_>,
) -> Result<Value, SqlError> {
    let scope = |row| RowScope { fields, row, session };
    // Without any row, columns are NULL and constants keep their value.
    let nulls = vec![Value::Null; fields.len()];
    let first = rows.first().copied().unwrap_or(&nulls);
    let Expression::Call { function, arguments, is_distinct } = expression else {
        return expression.evaluate(&scope(first));
    };
    if !expression.is_aggregate() {
        return expression.evaluate(&scope(first));
    }
    let [argument] = arguments.as_slice() else {
        return Err(SqlError::analyzing(&format!("No matching function with signature: {function}()")));
    };
    if *argument == Expression::Star {
        return Ok(Value::Integer(rows.len() as i128));
    }
    let values = rows.iter().map(|row| argument.evaluate(&scope(row))).collect::<Result<Vec<_>, _>>()?;
    let mut values: Vec<Value> = values.into_iter().filter(|value| !value.is_null()).collect();
    if *is_distinct {
        values.sort_by(Value::sort_order);
        values.dedup_by(|left, right| left.compare(right) == Some(Ordering::Equal));
    }
    Ok(match function.to_lowercase().as_str() {
        "count" => Value::Integer(values.len() as i128),
        "max" => values.into_iter().max_by(Value::sort_order).unwrap_or(Value::Null),
        "min" => values.into_iter().min_by(Value::sort_order).unwrap_or(Value::Null),
        "sum" => sum(&values),
        _ => average(&values),
    })
}

fn sum(values: &[Value]) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    let integers: Option<Vec<i128>> = values.iter().map(integer).collect();
    if let Some(total) =
        integers.and_then(|integers| integers.iter().try_fold(0i128, |sum, n| sum.checked_add(*n)))
    {
        return Value::Integer(total);
    }
    if let Some(total) = sum_decimals(values) {
        return Value::Decimal(total.into());
    }
    Value::Double(values.iter().filter_map(Value::number).sum())
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Boolean(value) => Some(i128::from(*value)),
        _ => None,
    }
}

/// Decimals of one column have the same scale, so their digits are added as integers.
fn sum_decimals(values: &[Value]) -> Option<String> {
    let (mut total, mut scale) = (0i128, 0);
    for value in values {
        let Value::Decimal(text) = value else { return None };
        scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        total = total.checked_add(text.replace('.', "").parse().ok()?)?;
    }
    decimal::parse(&format!("{total}e-{scale}"), u8::MAX, u8::try_from(scale).ok()?)
}

fn average(values: &[Value]) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    Value::Double(values.iter().filter_map(Value::number).sum::<f64>() / values.len() as f64)
}
