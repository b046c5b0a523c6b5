//! Arrays: `{1,NULL,"a b"}` in PostgreSQL, a JSON array in StarRocks, brought to one spelling.
//!
//! Lower bounds are lost on the way to StarRocks by declaration, and so they count for nothing here.

use serde_json::Value;

use super::{
    json,
    value::{Form, Side, canonical as canonical_value},
};

/// Deeper than PostgreSQL's six dimensions is no array.
const DEEPEST: usize = 8;

enum Tree {
    Null,
    Leaf(String),
    List(Vec<Tree>),
}

/// None for what cannot be read as an array.
pub(super) fn canonical(element: &Form, side: Side, value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match (side, element) {
        (Side::Sink, Form::Json) => return json::canonical(value),
        (Side::Sink, _) => write(element, side, &of_json(serde_json::from_slice(value).ok()?), &mut out),
        (Side::Source, Form::Json) => return Some(json::spelled(&to_json(of_source(value)?)?)),
        (Side::Source, _) => write(element, side, &of_source(value)?, &mut out),
    }
    Some(out)
}

/// Lengths come before values, so that no two lists run into one spelling.
fn write(element: &Form, side: Side, tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Null => out.push(b'n'),
        Tree::Leaf(text) => {
            let value = canonical_value(element, side, text.as_bytes());
            out.extend_from_slice(&value.len().to_be_bytes());
            out.extend_from_slice(&value);
        }
        Tree::List(elements) => {
            out.push(b'[');
            elements.iter().for_each(|tree| write(element, side, tree, out));
            out.push(b']');
        }
    }
}

fn of_json(value: Value) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Array(elements) => Tree::List(elements.into_iter().map(of_json).collect()),
        Value::String(text) => Tree::Leaf(text),
        other => Tree::Leaf(other.to_string()),
    }
}

/// Of an array of documents.
fn to_json(tree: Tree) -> Option<Value> {
    match tree {
        Tree::Null => Some(Value::Null),
        Tree::Leaf(text) => serde_json::from_str(&text).ok(),
        Tree::List(elements) => elements.into_iter().map(to_json).collect::<Option<_>>().map(Value::Array),
    }
}

fn of_source(value: &[u8]) -> Option<Tree> {
    let text = std::str::from_utf8(value).ok()?;
    // `[0:2]={…}` where the lower bound is not 1.
    let text = if text.starts_with('[') { text.split_once('=')?.1 } else { text };
    let (tree, rest) = list(text, 0)?;
    rest.is_empty().then_some(tree)
}

/// Reads `{…}` and gives what is behind it.
fn list(text: &str, depth: usize) -> Option<(Tree, &str)> {
    let mut rest = text.strip_prefix('{').filter(|_| depth < DEEPEST)?;
    let mut elements = Vec::new();
    while !rest.starts_with('}') {
        let (element, behind) = match rest.chars().next()? {
            '{' => list(rest, depth + 1)?,
            '"' => quoted(rest)?,
            _ => bare(rest)?,
        };
        elements.push(element);
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    Some((Tree::List(elements), rest.strip_prefix('}')?))
}

fn bare(text: &str) -> Option<(Tree, &str)> {
    let (value, rest) = text.split_at_checked(text.find([',', '}'])?)?;
    let null = value.eq_ignore_ascii_case("NULL");
    Some((if null { Tree::Null } else { Tree::Leaf(value.to_owned()) }, rest))
}

fn quoted(text: &str) -> Option<(Tree, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((Tree::Leaf(value), text.get(place + 1..)?)),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(element: &Form, source: &str, sink: &str) -> bool {
        let of = |side, text: &str| canonical(element, side, text.as_bytes());
        of(Side::Source, source).is_some() && of(Side::Source, source) == of(Side::Sink, sink)
    }

    #[test]
    fn an_array_is_the_same_in_both_languages() {
        assert!(same(
            &Form::Text,
            r#"{a,"b \"c\\","",NULL,"NULL",é}"#,
            r#"["a","b \"c\\","",null,"NULL","é"]"#
        ));
        assert!(same(&Form::Number, "{{1,2},{3,4}}", "[[1,2],[3,4]]"));
        assert!(same(&Form::Boolean, "[5:6]={t,f}", "[true,false]"));
        assert!(same(&Form::Json, r#"{"{\"b\": 1, \"a\": []}"}"#, r#"[{"a":[],"b":1}]"#));
        assert!(same(&Form::Json, r#"{{"[1]",NULL},{"{}","2.0"}}"#, r#"[[[1],null],[{},2]]"#));
        assert!(same(&Form::Text, "{}", "[]"));
    }

    #[test]
    fn elements_that_differ_or_move_are_seen() {
        assert!(!same(&Form::Text, "{a,b}", r#"["ab"]"#));
        assert!(!same(&Form::Text, "{a,b}", r#"["b","a"]"#));
        assert!(!same(&Form::Number, "{{1,2}}", "[[1],[2]]"));
    }

    #[test]
    fn what_is_no_array_has_no_spelling() {
        for text in ["", "{", "{\"a", "{a}b", "a", "[1:2]"] {
            assert_eq!(canonical(&Form::Text, Side::Source, text.as_bytes()), None, "{text}");
        }
    }
}
