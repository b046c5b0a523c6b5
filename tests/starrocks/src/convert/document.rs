//! Values of JSON columns.

use super::Refusal;
use crate::{
    reader::{Json, Object, Tree},
    value::Value,
};

/// Checked where text is parsed, but not where the body carries the JSON value itself (§7.1).
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The JSON value of a body; a JSON string stays a string and is not parsed again (§7.1).
pub(super) fn from_json(json: &Json<'_>) -> Result<Box<str>, Refusal> {
    let tree = Tree::of(json).ok_or(Refusal::Unsupported)?;
    print(&tree)
}

/// JSON given as text, as in ALTER and in defaults.
pub(super) fn parse(text: &str) -> Result<Box<str>, Refusal> {
    if text.len() > MAX_BYTES {
        return Err(Refusal::TooLong);
    }
    let bad = || Refusal::BadText { text: text.to_owned() };
    let tree = Tree::parse(text).ok_or_else(bad)?;
    print(&tree)
}

/// A field of CSV: text that looks like an object, an array or a string is parsed as JSON; other text becomes a JSON
/// string (§7.2).
pub(super) fn from_csv(text: &str) -> Result<Box<str>, Refusal> {
    match text.as_bytes().first() {
        Some(b'{' | b'[' | b'"') => parse(text),
        _ => Ok(quote(text).into()),
    }
}

fn print(tree: &Tree<'_>) -> Result<Box<str>, Refusal> {
    let mut text = String::new();
    write(tree, &mut text)?;
    Ok(text.into())
}

fn write(tree: &Tree<'_>, text: &mut String) -> Result<(), Refusal> {
    match tree {
        Tree::Scalar(Json::Null) => text.push_str("null"),
        Tree::Scalar(Json::Boolean(value)) => text.push_str(if *value { "true" } else { "false" }),
        Tree::Scalar(Json::Number(number)) => text.push_str(&stored_number(number.trim())?),
        Tree::Scalar(Json::Text(value)) => text.push_str(&quote(value)),
        Tree::Scalar(Json::Composite(_)) => return Err(Refusal::Unsupported),
        Tree::Array(items) => write_list(text, ('[', ']'), items, |item, text| write(item, text))?,
        Tree::Object(fields) => {
            let fields = sorted(fields);
            write_list(text, ('{', '}'), &fields, |(name, value), text| {
                text.push_str(&quote(name));
                text.push_str(": ");
                write(value, text)
            })?;
        }
    }
    Ok(())
}

fn write_list<T>(
    text: &mut String,
    (open, close): (char, char),
    items: &[T],
    mut each: impl FnMut(&T, &mut String) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    text.push(open);
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            text.push_str(", ");
        }
        each(item, text)?;
    }
    text.push(close);
    Ok(())
}

/// Sorts the fields: key order and duplicate keys are lost (§13).
fn sorted<'t, 'a>(fields: &'t Object<'a, Tree<'a>>) -> Vec<(&'t str, &'t Tree<'a>)> {
    let mut fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_ref(), value)).collect();
    fields.sort_by_key(|(name, _)| *name);
    fields.dedup_by_key(|(name, _)| *name);
    fields
}

/// Integers within 64 bits stay integers; every other number becomes a double (§7.1).
fn stored_number(text: &str) -> Result<String, Refusal> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number.to_string());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Ok(number.to_string());
    }
    let number: f64 = text.parse().map_err(|_| Refusal::Overflow)?;
    if number.is_infinite() {
        return Err(Refusal::Overflow);
    }
    let printed = Value::Double(number).print(true).unwrap_or_default();
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

pub(super) fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
