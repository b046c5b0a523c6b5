//! The canonical form of arrays: `{1,NULL,"a b"}` in PostgreSQL, a JSON array in StarRocks.
//!
//! Lower bounds are dropped on the way to StarRocks, as documented, so they are ignored here.

use std::borrow::Cow;

use super::{
    form::{Form, Side},
    json::{self, Element},
};

/// PostgreSQL's arrays have at most six dimensions.
const DEEPEST: usize = 8;

enum Tree {
    Null,
    Leaf(String),
    List(Vec<Tree>),
}

/// The canonical form of an element.
type OfElement<'f> = &'f dyn for<'a> Fn(&'a [u8]) -> Cow<'a, [u8]>;

/// `None` for a value that is not an array. `delimiter` separates two elements at the source.
pub(super) fn canonical(
    element: &Form,
    delimiter: char,
    side: Side,
    value: &[u8],
    of_element: OfElement<'_>,
) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(value).ok()?;
    let mut out = Vec::new();
    match (side, element) {
        (Side::Sink, Form::Json) => return json::canonical(value),
        (Side::Sink, _) => write(of_element, &of_json(text, 0)?, &mut out),
        (Side::Source, Form::Json) => return to_json(of_source(text, delimiter)?),
        (Side::Source, _) => write(of_element, &of_source(text, delimiter)?, &mut out),
    }
    Some(out)
}

/// Lengths precede values, so that two lists never have the same form.
fn write(of_element: OfElement<'_>, tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Null => out.push(b'n'),
        Tree::Leaf(text) => {
            let value = of_element(text.as_bytes());
            out.extend_from_slice(&value.len().to_be_bytes());
            out.extend_from_slice(&value);
        }
        Tree::List(elements) => {
            out.push(b'[');
            elements.iter().for_each(|tree| write(of_element, tree, out));
            out.push(b']');
        }
    }
}

fn of_json(text: &str, depth: usize) -> Option<Tree> {
    let elements = json::elements(text).filter(|_| depth < DEEPEST)?;
    let tree = |element| {
        Some(match element {
            Element::Null => Tree::Null,
            Element::Text(text) => Tree::Leaf(text),
            Element::List(text) => of_json(text, depth + 1)?,
            Element::Other(text) => Tree::Leaf(text.to_owned()),
        })
    };
    elements.into_iter().map(tree).collect::<Option<_>>().map(Tree::List)
}

/// The canonical form of one document in an array of documents.
fn to_json(tree: Tree) -> Option<Vec<u8>> {
    match tree {
        Tree::Null => Some(b"null".to_vec()),
        Tree::Leaf(text) => json::canonical(text.as_bytes()),
        Tree::List(elements) => {
            let elements = elements.into_iter().map(to_json).collect::<Option<Vec<_>>>()?;
            Some(json::spelled_list(&elements))
        }
    }
}

fn of_source(text: &str, delimiter: char) -> Option<Tree> {
    // `[0:2]={…}` where the lower bound is not 1.
    let text = if text.starts_with('[') { text.split_once('=')?.1 } else { text };
    let (tree, rest) = list(text, delimiter, 0)?;
    rest.is_empty().then_some(tree)
}

/// Parses `{…}`; returns the rest of the text.
fn list(text: &str, delimiter: char, depth: usize) -> Option<(Tree, &str)> {
    let mut rest = text.strip_prefix('{').filter(|_| depth < DEEPEST)?;
    let mut elements = Vec::new();
    while !rest.starts_with('}') {
        let (element, behind) = match rest.chars().next()? {
            '{' => list(rest, delimiter, depth + 1)?,
            '"' => quoted(rest).map(|(text, behind)| (Tree::Leaf(text), behind))?,
            _ => bare(rest, delimiter)?,
        };
        elements.push(element);
        rest = behind.strip_prefix(delimiter).unwrap_or(behind);
    }
    Some((Tree::List(elements), rest.strip_prefix('}')?))
}

fn bare(text: &str, delimiter: char) -> Option<(Tree, &str)> {
    let (value, rest) = text.split_at_checked(text.find([delimiter, '}'])?)?;
    let null = value.eq_ignore_ascii_case("NULL");
    Some((if null { Tree::Null } else { Tree::Leaf(value.to_owned()) }, rest))
}

/// A quoted text, and the rest behind it.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let content = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut letters = content.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, content.get(place + 1..)?)),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::value, *};

    fn canonical(element: &Form, delimiter: char, side: Side, value: &[u8]) -> Option<Vec<u8>> {
        super::canonical(element, delimiter, side, value, &|leaf| value::canonical(element, side, leaf))
    }

    fn same(element: &Form, source: &str, sink: &str) -> bool {
        let of = |side, text: &str| canonical(element, ',', side, text.as_bytes());
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
    fn a_box_has_commas_of_its_own() {
        let of = |side, text: &str| canonical(&Form::Text, ';', side, text.as_bytes());
        let source = of(Side::Source, "{(3,4),(1,2);NULL;(1,1),(0,0)}");
        assert!(source.is_some());
        assert_eq!(source, of(Side::Sink, r#"["(3,4),(1,2)",null,"(1,1),(0,0)"]"#));
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
            assert_eq!(canonical(&Form::Text, ',', Side::Source, text.as_bytes()), None, "{text}");
        }
    }
}
