//! The canonical form of `hstore`: `"a"=>"1", "b"=>NULL` in PostgreSQL, a JSON object in StarRocks.

use std::collections::BTreeMap;

use super::{
    array::quoted,
    json::{spelled_object, spelled_text},
};

/// `None` for a value that is not an `hstore`.
pub(super) fn canonical(value: &[u8]) -> Option<Vec<u8>> {
    let mut rest = std::str::from_utf8(value).ok()?;
    let mut members = BTreeMap::new();
    while !rest.is_empty() {
        let (name, behind) = quoted(rest)?;
        let behind = behind.strip_prefix("=>")?;
        let (value, behind) = match behind.strip_prefix("NULL") {
            Some(behind) => (b"null".to_vec(), behind),
            None => quoted(behind).map(|(text, behind)| (spelled_text(&text), behind))?,
        };
        members.insert(name, value);
        rest = match behind {
            "" => "",
            more => more.strip_prefix(", ")?,
        };
    }
    Some(spelled_object(members))
}

#[cfg(test)]
mod tests {
    use super::{super::json, *};

    #[test]
    fn null_its_text_and_the_empty_text_are_three_values() {
        for (source, sink) in [
            (r#""k1"=>"v1", "k2"=>NULL"#, r#"{"k1":"v1","k2":null}"#),
            (r#""k"=>"NULL""#, r#"{"k":"NULL"}"#),
            (r#""k"=>"""#, r#"{"k":""}"#),
            ("", "{}"),
            (r#""a\"b"=>"c\\d", "="=>"=", ""=>"é😀""#, r#"{"": "é😀", "=": "=", "a\"b": "c\\d"}"#),
        ] {
            assert_eq!(canonical(source.as_bytes()), json::canonical(sink.as_bytes()), "{source}");
            assert!(canonical(source.as_bytes()).is_some(), "{source}");
        }
        assert_ne!(canonical(br#""k"=>NULL"#), canonical(br#""k"=>"NULL""#));
    }

    #[test]
    fn what_is_no_hstore_has_no_spelling() {
        for text in ["a", "\"a\"", "\"a\"=>", "\"a\"=>\"b\"x", "\"a\"=>NULL,"] {
            assert_eq!(canonical(text.as_bytes()), None, "{text}");
        }
    }
}
