//! Encodes one value, from PostgreSQL's text to JSON.
//!
//! Checking and writing are separate steps. A body is checked when it is measured and written afterwards, so every
//! written value has been checked.

use super::{
    date::{check_date, check_date_time, without_utc},
    json::{Keys, check_json, write_json},
    literal::{Literal, LiteralKind, check_literal},
    number::{check_decimal, check_float, check_integer, check_money, write_money},
    output::{AT_ONCE, Output},
    problem::Problem,
    text::{check_hex, hex_digits, write_escaped},
};
use crate::{
    starrocks::target::{LONGEST_TEXT, TargetType},
    table::Kind,
};

/// How the values of a column are checked and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Boolean,
    Integer {
        digits: u8,
    },
    Decimal {
        whole: u8,
        places: u8,
    },
    Money,
    /// Written in quotes: as a JSON number, -0 would lose its sign and the largest float4 would be refused.
    Float,
    Text {
        limit: u32,
    },
    /// The hexadecimal digits of a `bytea`, which StarRocks converts to bytes.
    Hex,
    Date,
    DateTime {
        utc: bool,
    },
    Json {
        keys: Keys,
    },
    Literal(LiteralKind),
}

impl Form {
    pub(super) fn new(kind: Kind, target: TargetType) -> Self {
        match target {
            TargetType::Boolean => Self::Boolean,
            TargetType::TinyInt | TargetType::SmallInt | TargetType::Int => Self::Integer { digits: 10 },
            // xid8 has 20 digits; a numeric key of p digits has a type that holds them all.
            TargetType::BigInt | TargetType::LargeInt => Self::Integer { digits: integer_digits(kind) },
            TargetType::Float | TargetType::Double => Self::Float,
            TargetType::Decimal { .. } if kind == Kind::Money => Self::Money,
            TargetType::Decimal { precision, scale } => {
                Self::Decimal { whole: precision - scale, places: scale }
            }
            TargetType::Varchar(limit) => Self::Text { limit },
            TargetType::Varbinary => Self::Hex,
            TargetType::Date => Self::Date,
            TargetType::DateTime => Self::DateTime { utc: kind == Kind::TimestampTz },
            TargetType::Json => Self::json(kind),
        }
    }

    fn json(kind: Kind) -> Self {
        match kind {
            Kind::Array { element, delimiter } => Self::Literal(LiteralKind::Array { element, delimiter }),
            Kind::Hstore => Self::Literal(LiteralKind::Hstore),
            Kind::Json => Self::Json { keys: Keys::MayRepeat },
            _ => Self::Json { keys: Keys::AreUnique },
        }
    }

    /// The length to which the rule `Truncate` cuts the text.
    pub(super) fn longest(self) -> usize {
        match self {
            Self::Text { limit } => limit as usize,
            Self::Hex => HEX_MARK + 2 * LONGEST_TEXT as usize,
            _ => usize::MAX,
        }
    }

    /// Checks that StarRocks can hold the value as it will be written.
    #[inline]
    pub(super) fn check(self, text: &[u8]) -> Result<(), Problem> {
        match self {
            Self::Boolean if matches!(text, b"t" | b"f") => Ok(()),
            Self::Boolean => Err(Problem::NotABoolean),
            Self::Integer { digits } => check_integer(text, digits),
            Self::Decimal { whole, places } => check_decimal(text, whole, places),
            Self::Money => check_money(text),
            Self::Float => check_float(text),
            Self::Date => check_date(text),
            Self::DateTime { utc } => check_date_time(text, utc),
            Self::Text { limit } if text.len() > limit as usize => Err(Problem::TooLong(limit)),
            Self::Text { .. } => std::str::from_utf8(text).map(drop).map_err(|_| Problem::NotUtf8),
            Self::Hex => check_hex(text),
            Self::Json { keys } => check_json(text, keys),
            Self::Literal(kind) => check_literal(kind, text),
        }
    }

    /// Writes a checked value; returns the rest of a long one.
    #[inline]
    pub(super) fn write<'a, O: Output>(self, text: &'a [u8], out: &mut O) -> Rest<'a> {
        match self {
            Self::Boolean => out.put(if text == b"t" { b"true" } else { b"false" }),
            Self::Integer { .. } | Self::Decimal { .. } => out.put(text),
            Self::Money => write_money(text, out),
            Self::Float | Self::Date => quote(text, out),
            Self::DateTime { utc } => quote(if utc { without_utc(text) } else { text }, out),
            Self::Text { .. } => return write_text(text, out),
            Self::Hex => return write_text(hex_digits(text), out),
            Self::Json { .. } => return Rest::Json(text),
            Self::Literal(kind) => return Rest::Literal(Literal::new(kind, text)),
        }
        Rest::Nothing
    }
}

/// Length of the prefix of a `bytea`.
const HEX_MARK: usize = br"\x".len();

fn integer_digits(kind: Kind) -> u8 {
    match kind {
        Kind::Decimal { precision, scale } => {
            u8::try_from(i32::from(precision) - i32::from(scale)).unwrap_or(0)
        }
        _ => 20,
    }
}

/// The rest of a long value, written in parts so that no piece exceeds its buffer.
#[derive(Debug, Default)]
pub(super) enum Rest<'a> {
    #[default]
    Nothing,
    Text(&'a [u8]),
    Json(&'a [u8]),
    Literal(Literal<'a>),
}

impl Rest<'_> {
    /// Writes the next part; returns whether nothing is left.
    #[inline]
    pub(super) fn write_some<O: Output>(&mut self, out: &mut O) -> bool {
        match self {
            Self::Nothing => return true,
            Self::Text(text) => {
                write_escaped(next_part(text), out);
                if !text.is_empty() {
                    return false;
                }
                out.put(b"\"");
            }
            Self::Json(json) => {
                write_json(next_part(json), out);
                if !json.is_empty() {
                    return false;
                }
            }
            Self::Literal(literal) => {
                if !literal.write_some(out) {
                    return false;
                }
            }
        }
        *self = Self::Nothing;
        true
    }
}

fn next_part<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let (part, rest) = text.split_at(text.len().min(AT_ONCE));
    *text = rest;
    part
}

#[inline]
fn write_text<'a, O: Output>(text: &'a [u8], out: &mut O) -> Rest<'a> {
    out.put(b"\"");
    if text.len() > AT_ONCE {
        return Rest::Text(text);
    }
    write_escaped(text, out);
    out.put(b"\"");
    Rest::Nothing
}

#[inline]
fn quote<O: Output>(text: &[u8], out: &mut O) {
    out.put(b"\"");
    out.put(text);
    out.put(b"\"");
}
