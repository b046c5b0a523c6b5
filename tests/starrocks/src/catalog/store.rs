//! Rows, stored by their encoded keys.
//!
//! Keys are encoded as in StarRocks (§9.1), so that the limit of 128 bytes refuses the same rows.

use super::{Column, SqlType};
use crate::value::Value;

const MAX_KEY_BYTES: usize = 128;

pub(crate) type Row = Box<[Value]>;

#[derive(Debug, thiserror::Error)]
#[error("primary key size exceed the limit.")]
pub(crate) struct KeyTooLong;

/// Encodes the values of the key columns as bytes that sort as the values do. A text in the last place is stored as it
/// is; one before that has its NUL bytes doubled and ends with two bytes.
pub(crate) fn encode_key(columns: &[Column], row: &[Value]) -> Result<Box<[u8]>, KeyTooLong> {
    let keys = columns.iter().zip(row).filter(|(column, _)| column.is_key);
    let count = keys.clone().count();
    let mut bytes = Vec::with_capacity(16);
    for (place, (column, value)) in keys.enumerate() {
        encode_value(&mut bytes, &column.sql_type, value, place + 1 == count);
        if bytes.len() > MAX_KEY_BYTES {
            return Err(KeyTooLong);
        }
    }
    Ok(bytes.into_boxed_slice())
}

fn encode_value(bytes: &mut Vec<u8>, sql_type: &SqlType, value: &Value, is_last: bool) {
    let width = sql_type.key_width().unwrap_or(16);
    match value {
        Value::Integer(number) => {
            // With the sign bit flipped, negative numbers sort first.
            let flipped = (*number as u128) ^ (1 << (width * 8 - 1));
            bytes.extend(flipped.to_be_bytes().iter().skip(16 - width));
        }
        Value::Boolean(value) => bytes.push(u8::from(*value)),
        Value::Date(date) => bytes.extend(day_number(date.year, date.month, date.day).to_be_bytes()),
        Value::DateTime(moment) => {
            let day = day_number(moment.date.year, moment.date.month, moment.date.day);
            let seconds =
                u64::from(moment.hour) * 3600 + u64::from(moment.minute) * 60 + u64::from(moment.second);
            let micros = seconds * 1_000_000 + u64::from(moment.micros);
            bytes.extend(((u64::from(day) << 40) | micros).to_be_bytes());
        }
        Value::Text(text) if is_last => bytes.extend_from_slice(text.as_bytes()),
        Value::Text(text) => {
            for byte in text.bytes() {
                bytes.push(byte);
                if byte == 0 {
                    bytes.push(1);
                }
            }
            bytes.extend([0, 0]);
        }
        _ => {}
    }
}

/// Increases with the date; 32 × 13 days a year are enough to keep days distinct.
fn day_number(year: u16, month: u8, day: u8) -> u32 {
    (u32::from(year) * 13 + u32::from(month)) * 32 + u32::from(day)
}
