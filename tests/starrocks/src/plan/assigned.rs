//! The value of an assigned column, from the fields of a row.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{Encoding, Expression};
use crate::{
    catalog::{Column, MAX_VARCHAR, SqlType},
    convert,
    reader::Json,
    value::Value,
};

/// One value of a row, before its conversion.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field<'r> {
    /// A JSON row without this key.
    Absent,
    Null,
    Json(&'r Json<'r>),
    Csv(&'r str),
}

impl<'r> Field<'r> {
    pub(super) fn text(self) -> Option<Cow<'r, str>> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Json(json) => Some(json.as_text()),
            Self::Csv(text) => Some(Cow::Borrowed(text)),
        }
    }
}

/// Strict mode does not apply to assigned columns; only their final length and range are checked (§8.1).
pub(super) fn assigned(
    expression: &Expression,
    column: &Column,
    fields: &[Field<'_>],
) -> Result<Value, String> {
    let fits = |text: &Cow<'_, str>, field: &Field<'_>| {
        !matches!(field, Field::Csv(_)) || text.len() <= MAX_VARCHAR as usize
    };
    let field = |place: &usize| {
        let field = fields.get(*place)?;
        field.text().filter(|text| fits(text, field))
    };
    match expression {
        Expression::Null => Ok(Value::Null),
        Expression::Text(text) => cast(text, column),
        Expression::Field(place) => field(place).map_or(Ok(Value::Null), |text| cast(&text, column)),
        Expression::ToBinary { field: place, encoding } => {
            let bytes = field(place).and_then(|text| to_binary(&text, *encoding));
            let Some(bytes) = bytes else { return Ok(Value::Null) };
            check_length(bytes.len(), column)?;
            match column.sql_type {
                SqlType::Varbinary(_) => Ok(Value::Bytes(bytes.into())),
                _ => Ok(Value::text(String::from_utf8_lossy(&bytes).into_owned())),
            }
        }
    }
}

fn cast(text: &str, column: &Column) -> Result<Value, String> {
    check_length(text.len(), column)?;
    check_range(text, column)?;
    Ok(convert::from_text(text, &column.sql_type).unwrap_or(Value::Null))
}

fn check_length(length: usize, column: &Column) -> Result<(), String> {
    match column.sql_type.max_bytes() {
        Some(most) if length > most => Err(format!(
            "String (length={length}) is too long. The max length of '{}' is {most}",
            column.name
        )),
        _ => Ok(()),
    }
}

/// A number with too many digits for its DECIMAL is an error; text that is no number becomes NULL.
fn check_range(text: &str, column: &Column) -> Result<(), String> {
    let SqlType::Decimal { precision, scale } = column.sql_type else { return Ok(()) };
    let fits = |precision| convert::decimal::parse(text, precision, scale).is_some();
    if fits(precision) || !fits(u8::MAX) {
        return Ok(());
    }
    Err(format!(
        "Decimal '{text}' is out of range. The type of '{}' is DECIMAL({precision},{scale})",
        column.name
    ))
}

/// Bad hex gives an empty value, bad or empty base64 gives NULL, both without an error (§4.1).
fn to_binary(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Utf8 => Some(text.as_bytes().to_vec()),
        Encoding::Base64 if text.is_empty() => None,
        Encoding::Base64 => BASE64_STANDARD.decode(text).ok(),
        Encoding::Hex => Some(unhex(text).unwrap_or_default()),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
