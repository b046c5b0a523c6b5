//! ARRAY, MAP and STRUCT, stored as the text in which they are printed.
//!
//! A bad or over-long element, key or field becomes NULL without an error, in strict mode too (§7.1).

use super::{Refusal, document::quote, from_json};
use crate::{catalog::SqlType, reader::Json, value::Value};

/// From an array or object, or from text that holds one.
pub(super) fn of_json(json: &Json<'_>, sql_type: &SqlType) -> Result<Value, Refusal> {
    let text = match json {
        Json::Composite(text) => text,
        Json::Text(text) => text.as_ref(),
        _ => return Err(Refusal::Unsupported),
    };
    print(text, sql_type).map(Value::text).ok_or(Refusal::Unsupported)
}

/// `[1,2,null]` and `{k:v}`; text in them need not be quoted.
pub(super) fn of_csv(text: &str, sql_type: &SqlType) -> Result<Value, Refusal> {
    let bad = || Refusal::BadText { text: text.to_owned() };
    let inner = |open, close| text.trim().strip_prefix(open)?.strip_suffix(close);
    let printed = match sql_type {
        SqlType::Array(item) => inner('[', ']').map(|inner| {
            let items = split(inner, b',').into_iter().map(|item_text| element(&loose(item_text), item));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }),
        SqlType::Map(key, value) => inner('{', '}').and_then(|inner| {
            let pair = |pair| match split(pair, b':').as_slice() {
                [name, content] => Some((element(&loose(name), key), element(&loose(content), value))),
                _ => None,
            };
            split(inner, b',').into_iter().map(pair).collect::<Option<Vec<_>>>().map(print_map)
        }),
        _ => None,
    };
    printed.map(Value::text).ok_or_else(bad)
}

fn print(text: &str, sql_type: &SqlType) -> Option<String> {
    match sql_type {
        SqlType::Array(item) => {
            let items: Vec<String> = Json::elements(text)?.iter().map(|json| element(json, item)).collect();
            Some(format!("[{}]", items.join(",")))
        }
        SqlType::Map(key, value) => {
            let pairs = Json::fields(text)?.into_iter();
            let pairs = pairs.map(|(name, json)| (element(&Json::Text(name), key), element(&json, value)));
            Some(print_map(pairs.collect()))
        }
        SqlType::Struct(fields) => {
            let given = Json::fields(text)?;
            let field = |(name, field_type): &(String, SqlType)| {
                let json = given.iter().find(|(given, _)| given == name).map(|(_, json)| json);
                format!(
                    "{}:{}",
                    quote(name),
                    json.map_or("null".to_owned(), |json| element(json, field_type))
                )
            };
            Some(format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(",")))
        }
        _ => None,
    }
}

/// Of several equal keys the last one is kept.
fn print_map(pairs: Vec<(String, String)>) -> String {
    let is_last = |at: usize, name: &str| !pairs.iter().skip(at + 1).any(|(later, _)| later == name);
    let kept = pairs.iter().enumerate().filter(|(at, (name, _))| is_last(*at, name));
    let printed: Vec<String> = kept.map(|(_, (name, value))| format!("{name}:{value}")).collect();
    format!("{{{}}}", printed.join(","))
}

fn element(json: &Json<'_>, sql_type: &SqlType) -> String {
    if *json == Json::Null {
        return "null".to_owned();
    }
    let Ok(value) = from_json(json, sql_type) else { return "null".to_owned() };
    let text = value.print(true).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let is_nested = matches!(sql_type, SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_));
    match (value, text) {
        (_, None) => "null".to_owned(),
        (Value::Text(_) | Value::Date(_) | Value::DateTime(_) | Value::Bytes(_), Some(text))
            if !is_nested =>
        {
            quote(&text)
        }
        (_, Some(text)) => text,
    }
}

/// Parses the text as JSON; text that is not JSON stays text.
fn loose(text: &str) -> Json<'_> {
    Json::parse(text).unwrap_or_else(|| Json::Text(text.trim().into()))
}

/// The parts between separators that are outside quotes and brackets.
fn split(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    let (mut in_quotes, mut is_escaped) = (false, false);
    if text.trim().is_empty() {
        return parts;
    }
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_quotes => is_escaped = true,
            b'"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ if byte == separator && depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings() -> Box<SqlType> {
        Box::new(SqlType::Varchar(3))
    }

    fn json(text: &str, sql_type: &SqlType) -> Option<String> {
        of_json(&Json::parse(text)?, sql_type)
            .ok()
            .map(|value| String::from_utf8_lossy(&value.print(true).unwrap_or_default()).into_owned())
    }

    fn csv(text: &str, sql_type: &SqlType) -> Option<String> {
        of_csv(text, sql_type)
            .ok()
            .map(|value| String::from_utf8_lossy(&value.print(true).unwrap_or_default()).into_owned())
    }

    #[test]
    fn s27_elements_that_do_not_fit_become_null_and_the_rest_stays() {
        let array = SqlType::Array(Box::new(SqlType::TinyInt));
        let map = SqlType::Map(Box::new(SqlType::Int), strings());
        let structure =
            SqlType::Struct(vec![("a".into(), SqlType::Int), ("b".into(), SqlType::Array(strings()))]);
        let cases = [
            (&array, "[1, 300, \"x\", null, \"7\"]", Some("[1,null,null,null,7]")),
            (&array, "\"[1]\"", Some("[1]")),
            (&array, "{\"a\":1}", None),
            (&array, "1", None),
            (
                &map,
                "{\"1\":\"abc\",\"2\":\"abcd\",\"x\":\"y\",\"1\":\"z\"}",
                Some("{2:null,null:\"y\",1:\"z\"}"),
            ),
            (&map, "[]", None),
            (&structure, "{\"b\":[\"x\",\"long\"],\"c\":1}", Some("{\"a\":null,\"b\":[\"x\",null]}")),
        ];
        for (sql_type, text, expected) in cases {
            assert_eq!(json(text, sql_type).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn s27_csv_writes_arrays_and_maps_its_own_way() {
        let array = SqlType::Array(strings());
        let map = SqlType::Map(strings(), Box::new(SqlType::Array(Box::new(SqlType::Int))));
        assert_eq!(csv("[\"a,b\",c,null,\"long\"]", &array).as_deref(), Some("[\"a,b\",\"c\",null,null]"));
        assert_eq!(csv("[]", &array).as_deref(), Some("[]"));
        assert_eq!(csv("a", &array), None);
        assert_eq!(csv("{a:[1,2],\"b\":[],c:x}", &map).as_deref(), Some("{\"a\":[1,2],\"b\":[],\"c\":null}"));
        assert_eq!(csv("{a}", &map), None);
    }
}
