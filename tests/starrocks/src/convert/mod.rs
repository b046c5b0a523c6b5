//! Converts the values of a load to the values of a column (§7.1, §8).
//!
//! Ranges are checked strictly. As in StarRocks there is no error when the fraction of an integer is cut, a decimal is
//! rounded, or a date is read leniently.

pub(crate) mod decimal;
mod document;
pub(crate) mod moment;
mod nested;
mod number;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    Profile,
    catalog::{Column, SqlType, TypeNames},
    reader::Json,
    value::Value,
};

/// Why a value does not fit its column; worded as in the error log (§5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Overflow,
    BadText { text: String },
    Unsupported,
    TooLong,
    OutOfRange { text: String },
    DecimalOutOfRange { text: String },
}

impl Refusal {
    pub(crate) fn message(&self, column: &str, sql_type: &SqlType, profile: Profile) -> String {
        let type_name = || sql_type.print(TypeNames::Internal, profile);
        match self {
            Self::Overflow => format!("Value is overflow. column={column}"),
            Self::BadText { text } => {
                format!("Unable to cast string value to {}. value={text}, column={column}", type_name())
            }
            Self::Unsupported => format!("Unsupported value type. column={column}"),
            Self::TooLong => format!("Value length is beyond the capacity. column={column}"),
            Self::OutOfRange { text } => {
                format!("Value '{text}' is out of range. The type of '{column}' is {}", type_name())
            }
            Self::DecimalOutOfRange { text } => {
                format!("Decimal '{text}' is out of range. The type of '{column}' is {}", type_name())
            }
        }
    }
}

/// A JSON value for a column; the caller handles JSON null.
pub(crate) fn from_json(json: &Json<'_>, sql_type: &SqlType) -> Result<Value, Refusal> {
    match sql_type {
        SqlType::Boolean => boolean(json),
        SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt => {
            number::integer(json, sql_type)
        }
        SqlType::Float => number::float(json),
        SqlType::Double => number::double(json).map(Value::Double),
        SqlType::Char(_) | SqlType::Varchar(_) => bounded_text(json, sql_type),
        SqlType::Json => document::from_json(json).map(Value::Json),
        SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_) => nested::of_json(json, sql_type),
        SqlType::Varbinary(_) => bounded_bytes(json.as_text().into_owned().into_bytes(), sql_type),
        SqlType::LargeInt | SqlType::Decimal { .. } | SqlType::Date | SqlType::DateTime | SqlType::Time => {
            cast(&json.as_text(), sql_type)
        }
    }
}

/// A field of CSV for a column; the caller handles the NULL marker (§7.2).
pub(crate) fn from_csv(text: &str, sql_type: &SqlType) -> Result<Value, Refusal> {
    let as_text = Json::Text(text.into());
    match sql_type {
        // Every number is accepted: zero is false, all others are true.
        SqlType::Boolean => boolean(&as_text).or_else(|refusal| match text.trim().parse::<f64>() {
            Ok(number) => Ok(Value::Boolean(number != 0.0)),
            Err(_) => Err(refusal),
        }),
        SqlType::Json => document::from_csv(text).map(Value::Json),
        SqlType::Array(_) | SqlType::Map(..) => nested::of_csv(text, sql_type),
        // Text that is not base64 is stored as it is. Hex is often valid base64 too, and then gives wrong bytes without
        // an error.
        SqlType::Varbinary(_) => {
            let bytes = BASE64_STANDARD.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
            bounded_bytes(bytes, sql_type)
        }
        _ => from_json(&as_text, sql_type),
    }
}

fn bounded_bytes(bytes: Vec<u8>, sql_type: &SqlType) -> Result<Value, Refusal> {
    let fits = sql_type.max_bytes().is_none_or(|most| bytes.len() <= most);
    if fits { Ok(Value::Bytes(bytes.into())) } else { Err(Refusal::TooLong) }
}

/// Text for a column: from defaults, ALTER, and constants in a load's `columns`.
pub(crate) fn from_text(text: &str, sql_type: &SqlType) -> Result<Value, Refusal> {
    match sql_type {
        SqlType::Json => document::parse(text).map(Value::Json),
        _ => from_json(&Json::Text(text.into()), sql_type),
    }
}

/// Converts a stored value to the type of another column; a value that does not fit becomes NULL.
pub(crate) fn again(value: &Value, column: &Column) -> Value {
    let Some(text) = value.print(true) else { return Value::Null };
    from_text(&String::from_utf8_lossy(&text), &column.sql_type).unwrap_or(Value::Null)
}

fn boolean(json: &Json<'_>) -> Result<Value, Refusal> {
    let text = match json {
        Json::Boolean(value) => return Ok(Value::Boolean(*value)),
        Json::Number(text) => text.trim(),
        Json::Text(text) if text.eq_ignore_ascii_case("true") => return Ok(Value::Boolean(true)),
        Json::Text(text) if text.eq_ignore_ascii_case("false") => return Ok(Value::Boolean(false)),
        Json::Text(text) => {
            let number = text.trim().parse::<i64>().map_err(|_| bad_text(text))?;
            return Ok(Value::Boolean(number != 0));
        }
        _ => return Err(Refusal::Unsupported),
    };
    text.parse::<f64>().map(|number| Value::Boolean(number != 0.0)).map_err(|_| bad_text(text))
}

fn bounded_text(json: &Json<'_>, sql_type: &SqlType) -> Result<Value, Refusal> {
    let text = json.as_text();
    if sql_type.max_bytes().is_some_and(|most| text.len() > most) {
        return Err(Refusal::TooLong);
    }
    Ok(Value::text(text))
}

/// The SQL CAST that a load applies to text for types that the reader does not know.
fn cast(text: &str, sql_type: &SqlType) -> Result<Value, Refusal> {
    let out_of_range = || Refusal::OutOfRange { text: text.to_owned() };
    match sql_type {
        SqlType::LargeInt => number::largeint(text).map(Value::Integer).ok_or_else(out_of_range),
        SqlType::Decimal { precision, scale } => match decimal::parse(text, *precision, *scale) {
            Some(written) => Ok(Value::Decimal(written.into())),
            None => Err(Refusal::DecimalOutOfRange { text: text.to_owned() }),
        },
        SqlType::Date => moment::parse(text).map(|moment| Value::Date(moment.date)).ok_or_else(out_of_range),
        SqlType::DateTime => moment::parse(text).map(Value::DateTime).ok_or_else(out_of_range),
        _ => Err(Refusal::Unsupported),
    }
}

fn bad_text(text: &str) -> Refusal {
    Refusal::BadText { text: text.to_owned() }
}
