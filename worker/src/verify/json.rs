//! One spelling of a JSON document: members in order, numbers as what they are worth.

use std::fmt::Write;

use serde_json::{Number, Value};

/// None for what is no JSON.
pub(super) fn canonical(text: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice(text).ok().map(|value| spelled(&value))
}

pub(super) fn spelled(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    write_value(value, &mut out);
    out.into_bytes()
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => write_number(number, out),
        Value::Array(elements) => {
            write_list(elements.iter(), '[', ']', out, write_value);
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            write_list(members.into_iter(), '{', '}', out, |(name, value), out| {
                write_other(&Value::from(name.as_str()), out);
                out.push(':');
                write_value(value, out);
            });
        }
        other => write_other(other, out),
    }
}

fn write_list<T>(
    items: impl Iterator<Item = T>,
    open: char,
    close: char,
    out: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    out.push(open);
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

/// StarRocks keeps whole numbers of 64 bits and doubles, and forgets which of the two `1.0` was.
fn write_number(number: &Number, out: &mut String) {
    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    let double = number.as_f64().unwrap_or(f64::NAN);
    // Below 2^63 a double without a fraction is exactly a whole number.
    let rounded = (double.fract() == 0.0 && double.abs() < 9.2e18).then_some(double as i128);
    match whole.or(rounded) {
        // Writing to a text cannot fail.
        Some(whole) => drop(write!(out, "{whole}")),
        None => drop(write!(out, "{double:e}")),
    }
}

fn write_other(value: &Value, out: &mut String) {
    out.push_str(&value.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_members_blanks_and_zeros_mean_nothing() {
        let one = canonical(br#"{"b": [1.0, 2.5e3, null], "a": {"y": "\u00e9", "x": true}}"#);
        assert_eq!(one, canonical(r#"{"a":{"x":true,"y":"é"},"b":[1,2500,null]}"#.as_bytes()));
    }

    #[test]
    fn a_number_is_neither_its_text_nor_its_neighbour() {
        for (one, other) in
            [("1", "\"1\""), ("9007199254740993", "9007199254740992"), ("1.5", "1"), ("0", "null")]
        {
            assert_ne!(canonical(one.as_bytes()), canonical(other.as_bytes()), "{one}");
        }
    }

    #[test]
    fn what_is_no_json_has_no_spelling() {
        for text in ["", "{", "nan", "1e400"] {
            assert_eq!(canonical(text.as_bytes()), None, "{text}");
        }
    }
}
