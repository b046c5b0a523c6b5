//! Why a value cannot be stored in its target column without loss. The messages never contain the value.

use crds::Reason;

use super::super::target::LONGEST_KEY;
use crate::{
    fault::{Fault, Part},
    table::Table,
};

/// A row that cannot be written, and the index of the column that causes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// None when the key as a whole causes it.
    pub column: Option<usize>,
    pub problem: Problem,
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("holds a value that is neither true nor false")]
    NotABoolean,
    #[error("holds a number that StarRocks cannot hold (NaN, infinite, or not a number)")]
    NotANumber,
    #[error("holds a number with more digits than its column has")]
    TooManyDigits,
    #[error("holds a date that StarRocks cannot hold (infinite, before the year 1, or after 9999)")]
    NotADate,
    #[error("holds a time with an offset other than UTC")]
    NotUtc,
    #[error("holds a value of more than {0} bytes")]
    TooLong(u32),
    #[error("holds a text that is not UTF-8")]
    NotUtf8,
    #[error("holds a JSON value of more than 16 MiB")]
    JsonTooLong,
    #[error("holds a JSON value that is not well-formed")]
    NotJson,
    #[error("holds a JSON number beyond what a double can hold")]
    JsonNumberTooLarge,
    #[error("holds a JSON number with more digits than a double can hold")]
    JsonNumberTooLong,
    #[error("holds a JSON object with a duplicate key")]
    JsonKeyTwice,
    #[error("holds a JSON text with \\u0000 or half a surrogate pair")]
    JsonEscape,
    #[error("holds a JSON value that is nested too deeply")]
    JsonTooDeep,
    #[error("holds the JSON value null, which StarRocks cannot distinguish from SQL NULL")]
    JsonNull,
    #[error("holds a value that is not in the text format of its type")]
    Misspelled,
    #[error("is a key column and is NULL")]
    NullKey,
    #[error("holds no value, because the source did not send it")]
    Missing,
    #[error("a key of a row needs more than {LONGEST_KEY} bytes in StarRocks")]
    KeyTooLong,
}

impl Refusal {
    /// The fault that halts the table.
    pub(crate) fn fault(self, table: &Table) -> Fault {
        let message = match self.column.and_then(|place| table.columns.get(place)) {
            Some(column) => format!("column {} of table {} {}", column.name, table.name, self.problem),
            None => format!("in table {} {}", table.name, self.problem),
        };
        let in_key = self.column.is_none_or(|place| table.key.contains(&place));
        let fix = self.problem.fix(in_key);
        Fault::halt(Part::Table(table.name.clone()), Reason::ValueNotRepresentable, message, fix)
    }
}

impl Problem {
    /// Whether the value is valid in PostgreSQL and cannot be stored in StarRocks. Rules apply only to such values.
    pub(super) fn is_of_the_value(self) -> bool {
        match self {
            Self::NotANumber
            | Self::TooManyDigits
            | Self::NotADate
            | Self::TooLong(_)
            | Self::JsonTooLong
            | Self::JsonNumberTooLarge
            | Self::JsonNumberTooLong
            | Self::JsonKeyTwice
            | Self::JsonEscape
            | Self::JsonTooDeep
            | Self::JsonNull => true,
            Self::NotABoolean
            | Self::NotUtc
            | Self::NotUtf8
            | Self::NotJson
            | Self::Misspelled
            | Self::NullKey
            | Self::Missing
            | Self::KeyTooLong => false,
        }
    }

    /// The option of the job whose rule covers the problem.
    fn option(self) -> Option<&'static str> {
        match self {
            Self::NotANumber | Self::TooManyDigits => Some("decimals to Null (or, in a new job, to Text)"),
            Self::NotADate => Some("dates to Null (or, in a new job, to Text)"),
            Self::TooLong(_) => Some("tooLong to Null or Truncate"),
            Self::JsonNumberTooLong => Some("jsonNumbers to Round"),
            problem if problem.is_of_the_value() => Some("json to Null (or, in a new job, to Text)"),
            _ => None,
        }
    }

    /// The remedy. No rule applies to a key, so its value can only be changed at the source.
    fn fix(self, in_key: bool) -> String {
        match (self, self.option().filter(|_| !in_key)) {
            (Self::Missing, _) => {
                "report this as a defect; meanwhile set REPLICA IDENTITY FULL on the table".to_owned()
            }
            (Self::NotUtc, _) => "leave the time zone of the replication session at UTC".to_owned(),
            (Self::KeyTooLong | Self::NullKey, _) => {
                "give the table a shorter primary key, or take it out of the job".to_owned()
            }
            (_, Some(option)) => format!(
                "change the value at the source, set sink.starrocks.values.{option}, or take the table out of the job"
            ),
            _ => "change the value at the source, or take the table out of the job".to_owned(),
        }
    }
}
