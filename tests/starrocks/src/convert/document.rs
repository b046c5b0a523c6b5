//! JSON columns, and the composite types that are kept as their printed text.

use super::Refusal;
use crate::{
    catalog::SqlType,
    reader::{Json, Object, Tree},
    value::Value,
};

/// The value itself; a JSON string stays a string and is not parsed again (§7.1).
pub(super) fn from_json(json: &Json<'_>) -> Result<Box<str>, Refusal> {
    let tree = Tree::of(json).ok_or(Refusal::Unsupported)?;
    print(&tree)
}

/// JSON given as text, as ALTER and defaults do.
pub(super) fn parse(text: &str) -> Result<Box<str>, Refusal> {
    let bad = || Refusal::BadText { text: text.to_owned() };
    let tree = Tree::parse(text).ok_or_else(bad)?;
    print(&tree)
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

/// Key order and duplicate keys are lost (§13).
fn sorted<'t, 'a>(fields: &'t Object<'a, Tree<'a>>) -> Vec<(&'t str, &'t Tree<'a>)> {
    let mut fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_ref(), value)).collect();
    fields.sort_by_key(|(name, _)| *name);
    fields.dedup_by_key(|(name, _)| *name);
    fields
}

/// Integers stay what they are within 64 bits; everything else becomes a double (§7.1).
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

fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// A bad element becomes NULL silently, in strict mode too (§7.1).
pub(super) fn array(json: &Json<'_>, item_type: &SqlType) -> Result<Value, Refusal> {
    let elements = match json {
        Json::Composite(text) => Json::elements(text),
        Json::Text(text) => Json::elements(text),
        _ => None,
    };
    let elements = elements.ok_or(Refusal::Unsupported)?;
    let printed = elements.iter().map(|element| match element {
        Json::Null => "null".to_owned(),
        _ => convert_element(element, item_type),
    });
    Ok(Value::text(format!("[{}]", printed.collect::<Vec<_>>().join(","))))
}

fn convert_element(element: &Json<'_>, item_type: &SqlType) -> String {
    let Ok(value) = super::from_json(element, item_type) else { return "null".to_owned() };
    let text = value.print(true).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match (value, text) {
        (_, None) => "null".to_owned(),
        (Value::Text(text), _) if !matches!(item_type, SqlType::Array(_)) => quote(&text),
        (Value::Date(_) | Value::DateTime(_), Some(text)) => quote(&text),
        (_, Some(text)) => text,
    }
}

/// MAP and STRUCT, kept as the minified text that came.
pub(super) fn composite(json: &Json<'_>) -> Result<Value, Refusal> {
    match json {
        Json::Composite(text) if text.starts_with('{') => Ok(Value::text(json.as_text())),
        _ => Err(Refusal::Unsupported),
    }
}
