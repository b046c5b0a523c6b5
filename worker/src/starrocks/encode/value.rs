//! One value: from PostgreSQL's text to its JSON form.

use super::{
    date::{check_date, date_time},
    json::{check_json, write_json},
    number::{check_decimal, check_float, check_integer},
    output::Output,
    problem::Problem,
    text::{trim_blanks, write_escaped},
};
use crate::{starrocks::target::TargetType, table::Kind};

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
    /// In quotes: as a JSON number, -0 would lose its sign and the largest float4 be refused.
    Float,
    Text {
        limit: u32,
        trimmed: bool,
    },
    Date,
    DateTime {
        utc: bool,
    },
    Json,
}

impl Form {
    pub(super) fn new(kind: Kind, target: TargetType, key: bool) -> Self {
        match target {
            TargetType::Boolean => Self::Boolean,
            TargetType::TinyInt | TargetType::SmallInt | TargetType::Int => Self::Integer { digits: 10 },
            // xid8 has twenty digits; a numeric key of p digits has a type that holds them all.
            TargetType::BigInt | TargetType::LargeInt => Self::Integer { digits: integer_digits(kind) },
            TargetType::Float | TargetType::Double => Self::Float,
            TargetType::Decimal { precision, scale } => {
                Self::Decimal { whole: precision - scale, places: scale }
            }
            // Blanks that pad a char(n) mean nothing when it is compared.
            TargetType::Varchar(limit) => {
                Self::Text { limit, trimmed: key && matches!(kind, Kind::PaddedText { .. }) }
            }
            TargetType::Date => Self::Date,
            TargetType::DateTime => Self::DateTime { utc: kind == Kind::TimestampTz },
            TargetType::Json => Self::Json,
        }
    }
}

fn integer_digits(kind: Kind) -> u8 {
    match kind {
        Kind::Decimal { precision, scale } => {
            u8::try_from(i32::from(precision) - i32::from(scale)).unwrap_or(0)
        }
        _ => 20,
    }
}

/// A long value's part that is still to be written, so that no piece outgrows its buffer.
#[derive(Debug, Default)]
pub(super) struct Rest<'a> {
    bytes: &'a [u8],
    json: bool,
}

/// Values up to this length are written at once.
const AT_ONCE: usize = 16 * 1024;

impl Rest<'_> {
    /// Writes the next part. Says whether nothing is left.
    #[inline]
    pub(super) fn write_some<O: Output>(&mut self, out: &mut O) -> bool {
        if self.bytes.is_empty() {
            return true;
        }
        let (part, rest) = self.bytes.split_at(self.bytes.len().min(AT_ONCE));
        self.bytes = rest;
        if self.json {
            write_json(part, out);
        } else {
            write_escaped(part, out);
            out.put(if rest.is_empty() { b"\"" } else { b"" });
        }
        rest.is_empty()
    }
}

/// Checks and writes a value; gives the part of a long one that is still to be written.
#[inline]
pub(super) fn write<'a, O: Output>(form: Form, text: &'a [u8], out: &mut O) -> Result<Rest<'a>, Problem> {
    match form {
        Form::Boolean => match text {
            b"t" => out.put(b"true"),
            b"f" => out.put(b"false"),
            _ => return Err(Problem::NotABoolean),
        },
        Form::Integer { digits } => {
            check::<O>(|| check_integer(text, digits))?;
            out.put(text);
        }
        Form::Decimal { whole, places } => {
            check::<O>(|| check_decimal(text, whole, places))?;
            out.put(text);
        }
        Form::Float => {
            check::<O>(|| check_float(text))?;
            quote(text, out);
        }
        Form::Date => {
            check::<O>(|| check_date(text))?;
            quote(text, out);
        }
        Form::DateTime { utc } => quote(date_time(text, utc)?, out),
        Form::Text { limit, trimmed } => return write_text(text, limit, trimmed, out),
        Form::Json => {
            check::<O>(|| check_json(text))?;
            return Ok(Rest { bytes: text, json: true });
        }
    }
    Ok(Rest::default())
}

#[inline]
fn write_text<'a, O: Output>(
    text: &'a [u8],
    limit: u32,
    trimmed: bool,
    out: &mut O,
) -> Result<Rest<'a>, Problem> {
    let text = if trimmed { trim_blanks(text) } else { text };
    check::<O>(|| match text.len() <= limit as usize {
        false => Err(Problem::TooLong(limit)),
        true => std::str::from_utf8(text).map(drop).map_err(|_| Problem::NotUtf8),
    })?;
    out.put(b"\"");
    if text.len() > AT_ONCE {
        return Ok(Rest { bytes: text, json: false });
    }
    write_escaped(text, out);
    out.put(b"\"");
    Ok(Rest::default())
}

#[inline]
fn quote<O: Output>(text: &[u8], out: &mut O) {
    out.put(b"\"");
    out.put(text);
    out.put(b"\"");
}

#[inline]
fn check<O: Output>(check: impl FnOnce() -> Result<(), Problem>) -> Result<(), Problem> {
    if O::CHECKS { check() } else { Ok(()) }
}
