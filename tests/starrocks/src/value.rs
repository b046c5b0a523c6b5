//! A stored value, its order and its text form.

use std::{cmp::Ordering, fmt::Write};

/// One field of a row. Composite values are stored as the text in which they are printed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f32),
    Double(f64),
    /// Written with exactly the scale of its column.
    Decimal(Box<str>),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    Date(Date),
    DateTime(DateTime),
    Json(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DateTime {
    pub(crate) date: Date,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) micros: u32,
}

impl Value {
    pub(crate) fn text(text: impl Into<Box<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The MySQL text form; `None` for NULL.
    pub(crate) fn print(&self, with_micros: bool) -> Option<Vec<u8>> {
        let text = match self {
            Self::Null => return None,
            Self::Boolean(value) => u8::from(*value).to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => print_float(f64::from(*value), &format!("{value:e}"), &value.to_string()),
            Self::Double(value) => print_float(*value, &format!("{value:e}"), &value.to_string()),
            Self::Decimal(text) | Self::Text(text) | Self::Json(text) => {
                return Some(text.as_bytes().to_vec());
            }
            Self::Bytes(bytes) => return Some(bytes.to_vec()),
            Self::Date(date) => date.print(),
            Self::DateTime(moment) => moment.print(with_micros),
        };
        Some(text.into_bytes())
    }

    /// The order of two values in SQL; `None` when either is NULL or the types cannot be compared.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            (Self::Bytes(left), Self::Bytes(right)) => Some(left.cmp(right)),
            (Self::Date(left), Self::Date(right)) => Some(left.cmp(right)),
            (Self::DateTime(left), Self::DateTime(right)) => Some(left.cmp(right)),
            (Self::Date(_) | Self::DateTime(_), Self::Text(right)) => {
                let right = crate::convert::moment::parse(right)?;
                Some(self.moment()?.cmp(&right))
            }
            (Self::Text(_), Self::Date(_) | Self::DateTime(_)) => other.compare(self).map(Ordering::reverse),
            (Self::Date(_), Self::DateTime(_)) | (Self::DateTime(_), Self::Date(_)) => {
                Some(self.moment()?.cmp(&other.moment()?))
            }
            (Self::Bytes(left), Self::Text(right)) => Some(left.as_ref().cmp(right.as_bytes())),
            (Self::Text(left), Self::Bytes(right)) => Some(left.as_bytes().cmp(right)),
            _ => self.compare_numbers(other),
        }
    }

    fn compare_numbers(&self, other: &Self) -> Option<Ordering> {
        match (self.decimal(), other.decimal()) {
            (Some(left), Some(right)) => crate::convert::decimal::compare(&left, &right),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    fn decimal(&self) -> Option<String> {
        match self {
            Self::Boolean(value) => Some(u8::from(*value).to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Decimal(text) | Self::Text(text) => Some(text.to_string()),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Boolean(value) => Some(f64::from(u8::from(*value))),
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(f64::from(*value)),
            Self::Double(value) => Some(*value),
            Self::Decimal(text) | Self::Text(text) | Self::Json(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn moment(&self) -> Option<DateTime> {
        match self {
            Self::Date(date) => Some(DateTime { date: *date, hour: 0, minute: 0, second: 0, micros: 0 }),
            Self::DateTime(moment) => Some(*moment),
            _ => None,
        }
    }

    /// The order of ORDER BY: NULL comes before every value, as in StarRocks.
    pub(crate) fn sort_order(&self, other: &Self) -> Ordering {
        match (self.is_null(), other.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.compare(other).unwrap_or(Ordering::Equal),
        }
    }
}

impl Date {
    pub(crate) fn print(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl DateTime {
    pub(crate) fn print(self, with_micros: bool) -> String {
        let Self { date, hour, minute, second, micros } = self;
        let mut text = format!("{} {hour:02}:{minute:02}:{second:02}", date.print());
        if micros > 0 && with_micros {
            let _ = write!(text, ".{micros:06}");
        }
        text
    }
}

/// The shortest digits that parse to the same value; with an exponent outside 1e-4 … 1e16, as in the formatter of the
/// BE.
fn print_float(value: f64, scientific: &str, plain: &str) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let Some((digits, exponent)) = scientific.split_once('e') else { return plain.to_owned() };
    match exponent.parse::<i32>() {
        Ok(exponent @ (..-4 | 16..)) => {
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
        }
        _ => plain.to_owned(),
    }
}
