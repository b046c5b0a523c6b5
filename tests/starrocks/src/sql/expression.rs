//! Expressions of WHERE and of the select list.

use std::cmp::Ordering;

use super::SqlError;
use crate::{Profile, value::Value};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Literal(Value),
    Column(String),
    Variable(String),
    Call {
        function: String,
        arguments: Vec<Expression>,
        is_distinct: bool,
    },
    /// The `*` of `COUNT(*)`.
    Star,
    Compare {
        operator: Comparison,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    /// A chain of operands is one list, however long: trees are walked by recursion and must stay flat.
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    IsNull {
        value: Box<Expression>,
        is_negated: bool,
    },
    In {
        value: Box<Expression>,
        list: Vec<Expression>,
        is_negated: bool,
    },
    Like {
        value: Box<Expression>,
        pattern: Box<Expression>,
        is_negated: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NullSafeEqual,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const AGGREGATES: [&str; 5] = ["count", "max", "min", "sum", "avg"];

/// Gives names their values.
pub(super) trait Scope {
    fn column(&self, name: &str) -> Option<Value>;
    fn variable(&self, name: &str) -> Option<Value>;
    fn call(&self, function: &str, arguments: &[Value]) -> Option<Value>;
    fn profile(&self) -> Profile;
}

impl Expression {
    pub(super) fn is_aggregate(&self) -> bool {
        match self {
            Self::Call { function, .. } => AGGREGATES.contains(&function.to_lowercase().as_str()),
            Self::Compare { left, right, .. } => left.is_aggregate() || right.is_aggregate(),
            _ => false,
        }
    }

    /// Calls `look` for this expression and for every one in it.
    pub(super) fn visit<'e>(&'e self, look: &mut impl FnMut(&'e Self)) {
        look(self);
        match self {
            Self::Literal(_) | Self::Column(_) | Self::Variable(_) | Self::Star => {}
            Self::Call { arguments: list, .. } | Self::And(list) | Self::Or(list) => {
                list.iter().for_each(|inner| inner.visit(look));
            }
            Self::Compare { left, right, .. } | Self::Like { value: left, pattern: right, .. } => {
                left.visit(look);
                right.visit(look);
            }
            Self::Not(inner) | Self::IsNull { value: inner, .. } => inner.visit(look),
            Self::In { value, list, .. } => {
                value.visit(look);
                list.iter().for_each(|inner| inner.visit(look));
            }
        }
    }

    pub(super) fn evaluate(&self, scope: &impl Scope) -> Result<Value, SqlError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Column(name) => {
                scope.column(name).ok_or_else(|| SqlError::unknown_column(name, scope.profile()))?
            }
            Self::Variable(name) => scope.variable(name).ok_or_else(|| SqlError::unknown_variable(name))?,
            Self::Star => return Err(SqlError::analyzing("'*' is only allowed in COUNT")),
            Self::Call { function, arguments, .. } => {
                let values = arguments
                    .iter()
                    .map(|argument| argument.evaluate(scope))
                    .collect::<Result<Vec<_>, _>>()?;
                scope.call(function, &values).ok_or_else(|| no_function(function, &values))?
            }
            Self::Compare { operator, left, right } => {
                operator.apply(&left.evaluate(scope)?, &right.evaluate(scope)?)
            }
            Self::And(list) => combine(list, false, scope)?,
            Self::Or(list) => combine(list, true, scope)?,
            Self::Not(inner) => from_truth(not(truth(&inner.evaluate(scope)?))),
            Self::IsNull { value, is_negated } => {
                Value::Boolean(value.evaluate(scope)?.is_null() != *is_negated)
            }
            Self::In { value, list, is_negated } => {
                let value = value.evaluate(scope)?;
                from_truth(negate_if(*is_negated, is_in(&value, list, scope)?))
            }
            Self::Like { value, pattern, is_negated } => {
                let (value, pattern) = (value.evaluate(scope)?, pattern.evaluate(scope)?);
                let text = |value: &Value| {
                    value.print(true).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                };
                let truth = text(&value).zip(text(&pattern)).map(|(text, pattern)| is_like(&text, &pattern));
                from_truth(negate_if(*is_negated, truth))
            }
        })
    }

    /// The label that StarRocks gives to the column of an expression without an alias.
    pub(super) fn print(&self) -> String {
        match self {
            Self::Literal(value) => match (value, value.print(true)) {
                (Value::Text(text), _) => format!("'{text}'"),
                (_, Some(text)) => String::from_utf8_lossy(&text).into_owned(),
                (_, None) => "NULL".to_owned(),
            },
            Self::Column(name) => name.clone(),
            Self::Variable(name) if name.starts_with('@') => name.clone(),
            Self::Variable(name) => match name.split_once('.') {
                Some((scope, name)) => format!("@@{}.{name}", scope.to_uppercase()),
                None => format!("@@{name}"),
            },
            Self::Star => "*".to_owned(),
            Self::Call { function, arguments, is_distinct } => {
                let arguments: Vec<_> = arguments.iter().map(Self::print).collect();
                let distinct = if *is_distinct { "DISTINCT " } else { "" };
                format!("{}({distinct}{})", call_name(function), arguments.join(", "))
            }
            Self::Compare { operator, left, right } => {
                format!("{} {} {}", left.print_inner(), operator.sign(), right.print_inner())
            }
            Self::And(list) => print_chain(list, ") AND ("),
            Self::Or(list) => print_chain(list, ") OR ("),
            Self::Not(inner) => format!("NOT ({})", inner.print()),
            Self::IsNull { value, is_negated } => {
                format!("{} IS {}NULL", value.print(), if *is_negated { "NOT " } else { "" })
            }
            Self::In { value, list, .. } => {
                let list: Vec<_> = list.iter().map(Self::print).collect();
                format!("{} IN ({})", value.print(), list.join(", "))
            }
            Self::Like { value, pattern, .. } => format!("{} LIKE {}", value.print(), pattern.print()),
        }
    }

    fn print_inner(&self) -> String {
        match self {
            Self::Literal(_) | Self::Column(_) => self.print(),
            _ => format!("({})", self.print()),
        }
    }
}

/// Functions about the session are printed in capitals, all others in lower case (recording).
fn call_name(function: &str) -> String {
    let upper = function.to_uppercase();
    let about_session = ["DATABASE", "SCHEMA", "USER", "CURRENT_USER", "CONNECTION_ID", "CURRENT_ROLE"];
    if about_session.contains(&upper.as_str()) { upper } else { function.to_lowercase() }
}

fn no_function(function: &str, arguments: &[Value]) -> SqlError {
    let types = vec!["varchar"; arguments.len()].join(", ");
    SqlError::analyzing(&format!("No matching function with signature: {}({types})", function.to_lowercase()))
}

fn is_in(value: &Value, list: &[Expression], scope: &impl Scope) -> Result<Option<bool>, SqlError> {
    let mut found = Some(false);
    for item in list {
        match truth(&Comparison::Equal.apply(value, &item.evaluate(scope)?)) {
            Some(true) => return Ok(Some(true)),
            Some(false) => {}
            None => found = None,
        }
    }
    Ok(found)
}

pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        other => other.number().map(|number| number != 0.0),
    }
}

/// One operand equal to `decisive` decides the result; otherwise it is NULL if one operand is NULL.
fn combine(list: &[Expression], decisive: bool, scope: &impl Scope) -> Result<Value, SqlError> {
    let mut combined = Some(!decisive);
    for expression in list {
        match truth(&expression.evaluate(scope)?) {
            Some(truth) if truth == decisive => return Ok(Value::Boolean(decisive)),
            Some(_) => {}
            None => combined = None,
        }
    }
    Ok(from_truth(combined))
}

fn print_chain(list: &[Expression], between: &str) -> String {
    let parts: Vec<String> = list.iter().map(Expression::print).collect();
    format!("({})", parts.join(between))
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| !truth)
}

fn negate_if(is_negated: bool, truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| truth != is_negated)
}

fn from_truth(truth: Option<bool>) -> Value {
    truth.map_or(Value::Null, Value::Boolean)
}

impl Comparison {
    pub(super) fn named(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" => Self::Equal,
            "<=>" => Self::NullSafeEqual,
            "<>" | "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NullSafeEqual => "<=>",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    fn apply(self, left: &Value, right: &Value) -> Value {
        if self == Self::NullSafeEqual {
            let both_null = left.is_null() && right.is_null();
            return Value::Boolean(both_null || left.compare(right) == Some(Ordering::Equal));
        }
        let Some(order) = left.compare(right) else {
            return if left.is_null() || right.is_null() {
                Value::Null
            } else {
                Value::Boolean(self == Self::NotEqual)
            };
        };
        Value::Boolean(match self {
            Self::Equal | Self::NullSafeEqual => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        })
    }
}

/// SQL LIKE: `%` matches any run, `_` any letter, and `\` makes the next character literal.
pub(super) fn is_like(text: &str, pattern: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = letters.as_str();
            text.char_indices().any(|(at, _)| is_like(text.get(at..).unwrap_or_default(), rest))
                || is_like("", rest)
        }
        Some(first) => {
            let is_escape = first == '\\' && !letters.as_str().is_empty();
            let expected =
                if is_escape { letters.next() } else { Some(first).filter(|letter| *letter != '_') };
            let mut found = text.chars();
            let fits = found.next().is_some_and(|letter| expected.is_none_or(|expected| expected == letter));
            fits && is_like(found.as_str(), letters.as_str())
        }
    }
}
