//! Integers and floating-point numbers.

use super::{Refusal, bad_text};
use crate::{catalog::SqlType, reader::Json, value::Value};

pub(super) fn integer(json: &Json<'_>, sql_type: &SqlType) -> Result<Value, Refusal> {
    let text = match json {
        Json::Number(text) => text.trim(),
        Json::Text(text) => text.trim(),
        Json::Boolean(value) => return Ok(Value::Integer(i128::from(*value))),
        _ => return Err(Refusal::Unsupported),
    };
    let number = largeint(text).ok_or_else(|| bad_text(text))?;
    let (least, most) = sql_type.integer_range().unwrap_or((i128::MIN, i128::MAX));
    if (least..=most).contains(&number) { Ok(Value::Integer(number)) } else { Err(Refusal::Overflow) }
}

/// An integer; a fraction is cut off without an error (§7.1).
pub(super) fn largeint(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i128>() {
        return Some(number);
    }
    if let Some((whole, fraction)) = text.split_once('.')
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = whole.parse::<i128>()
    {
        return Some(number);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse::<f64>().ok().filter(|number| is_number && number.is_finite())?.trunc();
    // 2^127 and beyond do not fit, and the cast would saturate.
    (number.abs() < 1.7e38).then_some(number as i128)
}

/// In a JSON number `-0` loses its sign, and a value beyond the largest float4 is an overflow. A JSON string loads in
/// both cases, and a value beyond float4 but within double becomes infinite (§7.1).
pub(super) fn float(json: &Json<'_>) -> Result<Value, Refusal> {
    let wide = double(json)?;
    let is_number = matches!(json, Json::Number(_));
    if is_number && wide.abs() > f64::from(f32::MAX) {
        return Err(Refusal::Overflow);
    }
    match json {
        // Parsed as float4 directly: by way of a double the value would be rounded twice.
        Json::Text(text) => Ok(Value::Float(text.trim().parse().unwrap_or(wide as f32))),
        _ => Ok(Value::Float(wide as f32)),
    }
}

pub(super) fn double(json: &Json<'_>) -> Result<f64, Refusal> {
    match json {
        Json::Number(text) => {
            let number: f64 = text.trim().parse().map_err(|_| bad_text(text))?;
            if number.is_infinite() {
                return Err(Refusal::Overflow);
            }
            // StarRocks parses an integer literal as an integer, which has no negative zero.
            Ok(if text.trim() == "-0" { 0.0 } else { number })
        }
        Json::Text(text) => float_text(text.trim()),
        Json::Boolean(value) => Ok(f64::from(u8::from(*value))),
        _ => Err(Refusal::Unsupported),
    }
}

fn float_text(text: &str) -> Result<f64, Refusal> {
    let number: f64 = text.parse().map_err(|_| bad_text(text))?;
    let has_digits = text.bytes().any(|byte| byte.is_ascii_digit());
    if number.is_infinite() && has_digits { Err(Refusal::Overflow) } else { Ok(number) }
}
