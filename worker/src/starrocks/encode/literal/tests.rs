//! The JSON parses to the elements of the array or the `hstore`.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn array(element: Element) -> LiteralKind {
    LiteralKind::Array { element, delimiter: b',' }
}

fn written(form: LiteralKind, text: &str) -> Json {
    let (mut literal, mut json) = (Literal::new(form, text.as_bytes()), Vec::new());
    while !literal.write_some(&mut json) {}
    serde_json::from_slice(&json).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&json)))
}

#[test]
fn an_array_becomes_a_json_array() {
    let boxes = LiteralKind::Array { element: Element::Text, delimiter: b';' };
    for (form, text, expected) in [
        (array(Element::Integer), "{}", json!([])),
        (array(Element::Integer), "{1,NULL,-3}", json!([1, null, -3])),
        (array(Element::Integer), "{{1,2},{3,4}}", json!([[1, 2], [3, 4]])),
        (array(Element::Integer), "[0:1]={1,2}", json!([1, 2])),
        (array(Element::Integer), "[-1:0][2:2]={{1},{2}}", json!([[1], [2]])),
        (array(Element::Integer), "{18446744073709551615}", json!([18_446_744_073_709_551_615_u64])),
        (array(Element::Boolean), "{t,f,NULL}", json!([true, false, null])),
        (array(Element::Float), "{1.5,NaN,-Infinity,1e+20}", json!([1.5, "NaN", "-Infinity", 1e20])),
        (array(Element::Text), r#"{a,"b c","",NULL,"NULL"}"#, json!(["a", "b c", "", null, "NULL"])),
        (array(Element::Text), r#"{"q\"\\","{},",é}"#, json!(["q\"\\", "{},", "é"])),
        (array(Element::Text), "{\"line\n\",12.50,NaN}", json!(["line\n", "12.50", "NaN"])),
        (array(Element::Text), r#"{"\\x00ff"}"#, json!(["\\x00ff"])),
        (array(Element::Text), r#"{"[1,2)","(1,\"a b\")"}"#, json!(["[1,2)", "(1,\"a b\")"])),
        (array(Element::Text), r#"{"[0:1]={1,2}"}"#, json!(["[0:1]={1,2}"])),
        (
            array(Element::Json),
            r#"{"{\"a\": [1, \"x\\\"y\"]}",3,true,NULL}"#,
            json!([{"a": [1, "x\"y"]}, 3, true, null]),
        ),
        (boxes, "{(1,1),(0,0);(2,2),(1,1)}", json!(["(1,1),(0,0)", "(2,2),(1,1)"])),
    ] {
        assert_eq!(check_literal(form, text.as_bytes()), Ok(()), "{text}");
        assert_eq!(written(form, text), expected, "{text}");
    }
}

#[test]
fn a_negative_zero_in_an_array_keeps_its_sign() {
    assert!(written(array(Element::Float), "{-0}")[0].as_f64().unwrap().is_sign_negative());
}

#[test]
fn an_hstore_becomes_an_object() {
    for (text, expected) in [
        ("", json!({})),
        (r#""a"=>"1""#, json!({"a": "1"})),
        (r#""a"=>NULL, "NULL"=>"NULL""#, json!({"a": null, "NULL": "NULL"})),
        (r#""b, =>"=>"\"\\", ""=>"""#, json!({"b, =>": "\"\\", "": ""})),
    ] {
        assert_eq!(check_literal(LiteralKind::Hstore, text.as_bytes()), Ok(()), "{text}");
        assert_eq!(written(LiteralKind::Hstore, text), expected, "{text}");
    }
}

#[test]
fn what_is_not_in_order_is_refused() {
    for (element, text) in [
        (Element::Integer, ""),
        (Element::Integer, "{"),
        (Element::Integer, "1"),
        (Element::Integer, "{1}}"),
        (Element::Integer, "{1,}"),
        (Element::Integer, "{,1}"),
        (Element::Integer, "{1}x"),
        (Element::Integer, "{\"1\"}"),
        (Element::Integer, "[0:1]"),
        (Element::Integer, "{{{{{{{1}}}}}}}"),
        (Element::Boolean, "{x}"),
        (Element::Float, "{1,inf}"),
        (Element::Text, "{\"a}"),
        (Element::Text, "{\"a\\}"),
        (Element::Text, "{\"a\\n\"}"),
        (Element::Text, "{a\"b}"),
        (Element::Text, "{a{b}"),
        (Element::Text, "{\"a\"b}"),
    ] {
        assert_eq!(check_literal(array(element), text.as_bytes()), Err(Problem::Misspelled), "{text}");
    }
    for text in
        ["a", "\"a\"", "\"a\"=>", "\"a\"=>1", "\"a\"=>\"b\",", "\"a\"=>\"b\" ", "NULL=>\"a\"", "\"a\"=>NULLx"]
    {
        assert_eq!(check_literal(LiteralKind::Hstore, text.as_bytes()), Err(Problem::Misspelled), "{text}");
    }
}

#[test]
fn an_element_that_starrocks_cannot_hold_is_refused() {
    for (text, problem) in [
        (r#"{"{\"a\": 1e400}"}"#, Problem::JsonNumberTooLarge),
        (r#"{"\"\\u0000\""}"#, Problem::JsonEscape),
        (r#"{"null"}"#, Problem::JsonNull),
        ("{123456789012345678901}", Problem::JsonNumberTooLong),
        (r#"{123456789012345678901,"null"}"#, Problem::JsonNull),
    ] {
        assert_eq!(check_literal(array(Element::Json), text.as_bytes()), Err(problem), "{text}");
    }
    let long = format!("{{{}}}", "\u{1}".repeat(3 << 20));
    assert_eq!(check_literal(array(Element::Text), long.as_bytes()), Err(Problem::JsonTooLong));
    assert_eq!(check_literal(array(Element::Text), b"{a\xff}"), Err(Problem::NotUtf8));
}

/// A text in quotes, as PostgreSQL writes it in an array.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

proptest! {
    #[test]
    fn every_text_comes_through_an_array_and_an_hstore(texts in proptest::collection::vec(any::<Option<String>>(), 1..9)) {
        let spelled: Vec<_> = texts.iter().map(|text| text.as_deref().map_or("NULL".to_owned(), quoted)).collect();
        let text = format!("{{{}}}", spelled.join(","));
        prop_assert_eq!(check_literal(array(Element::Text), text.as_bytes()), Ok(()));
        prop_assert_eq!(written(array(Element::Text), &text), json!(texts));
        let pairs: Vec<_> = spelled.iter().enumerate().map(|(place, value)| format!("\"{place}\"=>{value}")).collect();
        let text = pairs.join(", ");
        prop_assert_eq!(check_literal(LiteralKind::Hstore, text.as_bytes()), Ok(()));
        let object = written(LiteralKind::Hstore, &text);
        for (place, value) in texts.iter().enumerate() {
            prop_assert_eq!(&object[place.to_string()], &json!(value));
        }
    }

    /// Any input is refused, or gives exactly one JSON value.
    #[test]
    fn hostile_bytes_are_refused_or_well_formed(
        text in "[{}\\[\\]\",;=> \\\\NULLtf0-9a.é-]{0,40}",
        element in prop::sample::select(vec![Element::Boolean, Element::Integer, Element::Float, Element::Json, Element::Text]),
        object in any::<bool>(),
    ) {
        let form = if object { LiteralKind::Hstore } else { array(element) };
        if check_literal(form, text.as_bytes()).is_ok() {
            let json = written(form, &text);
            prop_assert!(json.is_array() || json.is_object());
        }
    }
}
