//! The canonical form of a JSON document: members sorted, numbers by value.
//!
//! Parsed without recursion: StarRocks accepts a thousand levels, and PostgreSQL more.

use std::collections::BTreeMap;

/// `None` for invalid JSON.
pub(super) fn canonical(text: &[u8]) -> Option<Vec<u8>> {
    Reader { rest: std::str::from_utf8(text).ok()? }.document()
}

/// The canonical form of a list of canonical values.
pub(super) fn spelled_list(elements: &[Vec<u8>]) -> Vec<u8> {
    [&b"["[..], &elements.join(&b","[..]), b"]"].concat()
}

/// The canonical form of an object with canonical values.
pub(super) fn spelled_object(members: BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let member = |(name, value): (String, Vec<u8>)| [&spelled_text(&name)[..], b":", &value].concat();
    let members: Vec<_> = members.into_iter().map(member).collect();
    [&b"{"[..], &members.join(&b","[..]), b"}"].concat()
}

pub(super) fn spelled_text(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

/// An element of an array as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element<'a> {
    Null,
    Text(String),
    List(&'a str),
    /// A number, a boolean or an object.
    Other(&'a str),
}

/// The elements of an array; `None` for any other value.
pub(super) fn elements(text: &str) -> Option<Vec<Element<'_>>> {
    let mut reader = Reader { rest: text };
    let mut elements = Vec::new();
    if !reader.take('[') {
        return None;
    }
    if !reader.take(']') {
        loop {
            elements.push(reader.element()?);
            if !reader.take(',') {
                break;
            }
        }
        if !reader.take(']') {
            return None;
        }
    }
    reader.is_done().then_some(elements)
}

/// A container that is not closed yet.
enum Open {
    List(Vec<Vec<u8>>),
    /// An object, with the name of the current member.
    Object(BTreeMap<String, Vec<u8>>, String),
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Option<Vec<u8>> {
        let mut open = Vec::new();
        loop {
            let mut value = self.begin(&mut open)?;
            // A value may end its container, which may then end the next outer one.
            while let Some(complete) = value.take() {
                let Some(container) = open.last_mut() else { return self.is_done().then_some(complete) };
                match container {
                    Open::List(elements) => elements.push(complete),
                    Open::Object(members, name) => drop(members.insert(std::mem::take(name), complete)),
                }
                value = self.after(&mut open)?;
            }
        }
    }

    /// Parses a scalar or an empty container; otherwise opens a container.
    fn begin(&mut self, open: &mut Vec<Open>) -> Option<Option<Vec<u8>>> {
        if self.take('[') {
            if self.take(']') {
                return Some(Some(spelled_list(&[])));
            }
            open.push(Open::List(Vec::new()));
            return Some(None);
        }
        if self.take('{') {
            if self.take('}') {
                return Some(Some(spelled_object(BTreeMap::new())));
            }
            let name = self.name()?;
            open.push(Open::Object(BTreeMap::new(), name));
            return Some(None);
        }
        self.scalar().map(Some)
    }

    /// Parses what follows a value in its container: another value, or the end, which completes the container.
    fn after(&mut self, open: &mut Vec<Open>) -> Option<Option<Vec<u8>>> {
        if self.take(',') {
            if let Some(Open::Object(_, name)) = open.last_mut() {
                *name = self.name()?;
            }
            return Some(None);
        }
        match open.pop()? {
            Open::List(elements) if self.take(']') => Some(Some(spelled_list(&elements))),
            Open::Object(members, _) if self.take('}') => Some(Some(spelled_object(members))),
            _ => None,
        }
    }

    fn name(&mut self) -> Option<String> {
        let name = self.text()?;
        self.take(':').then_some(name)
    }

    fn scalar(&mut self) -> Option<Vec<u8>> {
        if self.peek() == Some('"') {
            return self.text().map(|text| spelled_text(&text));
        }
        let word = self.word();
        match word {
            "null" | "true" | "false" => Some(word.as_bytes().to_vec()),
            number => spelled_number(number).map(String::into_bytes),
        }
    }

    fn element(&mut self) -> Option<Element<'a>> {
        match self.peek()? {
            '"' => self.text().map(Element::Text),
            '[' => self.container().map(Element::List),
            '{' => self.container().map(Element::Other),
            _ => match self.word() {
                "" => None,
                "null" => Some(Element::Null),
                word => Some(Element::Other(word)),
            },
        }
    }

    /// The text up to the matching closing bracket.
    fn container(&mut self) -> Option<&'a str> {
        let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
        for (place, byte) in self.rest.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => depth += 1,
                b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return self.cut(place + 1);
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        self.peek().filter(|first| *first == '"')?;
        let mut escaped = false;
        for (place, byte) in self.rest.bytes().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return serde_json::from_str(self.cut(place + 1)?).ok(),
                _ => {}
            }
        }
        None
    }

    /// A number or a word: the text up to a delimiter or a blank.
    fn word(&mut self) -> &'a str {
        self.skip_blanks();
        let is_mark = |letter: char| letter.is_ascii_whitespace() || "[]{},:\"".contains(letter);
        let end = self.rest.find(is_mark).unwrap_or(self.rest.len());
        self.cut(end).unwrap_or_default()
    }

    fn cut(&mut self, end: usize) -> Option<&'a str> {
        let (cut, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(cut)
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.rest.chars().next()
    }

    fn take(&mut self, mark: char) -> bool {
        let comes = self.peek() == Some(mark);
        if comes {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        comes
    }

    fn is_done(&mut self) -> bool {
        self.peek().is_none()
    }
}

/// StarRocks stores 64-bit integers and doubles, and does not keep which of the two `1.0` was.
fn spelled_number(text: &str) -> Option<String> {
    let starts_as_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let double: f64 = text.parse().ok().filter(|double: &f64| starts_as_number && double.is_finite())?;
    let whole = text.parse::<i64>().map(i128::from).or_else(|_| text.parse::<u64>().map(i128::from));
    // Below 2^63 a double without a fraction is exactly an integer.
    let rounded = (double.fract() == 0.0 && double.abs() < 9.2e18).then_some(double as i128);
    Some(match whole.ok().or(rounded) {
        Some(whole) => whole.to_string(),
        None => format!("{double:e}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_members_blanks_and_zeros_mean_nothing() {
        let one = canonical(br#"{"b": [1.0, 2.5e3, null], "a": {"y": "\u00e9", "x": true}}"#);
        assert_eq!(one, canonical(r#"{"a":{"x":true,"y":"é"},"b":[1,2500,null]}"#.as_bytes()));
        assert!(one.is_some());
    }

    #[test]
    fn a_number_is_neither_its_text_nor_its_neighbour() {
        for (one, other) in [
            ("1", "\"1\""),
            ("9007199254740993", "9007199254740992"),
            ("1.5", "1"),
            ("0", "null"),
            ("[]", "[null]"),
            ("[[],[]]", "[[[]]]"),
            ("{\"a\":1}", "{\"a\":2}"),
            ("{}", "[]"),
        ] {
            assert_ne!(canonical(one.as_bytes()), canonical(other.as_bytes()), "{one}");
            assert!(canonical(one.as_bytes()).is_some() && canonical(other.as_bytes()).is_some(), "{one}");
        }
    }

    #[test]
    fn what_is_no_json_has_no_spelling() {
        for text in [
            "",
            "{",
            "nan",
            "1e400",
            "[1",
            "[1}",
            "{\"a\" 1}",
            "{\"a\":1",
            "[1] 2",
            "\"a",
            "inf",
            "[,]",
            "[1,]",
        ] {
            assert_eq!(canonical(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn depth_is_no_difference() {
        let nested = |depth: usize, blank: &str| {
            format!("{{\"a\":{blank}{}1{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
        };
        for depth in [1, 200, 900, 6000] {
            let spelled = canonical(&nested(depth, " "));
            assert!(spelled.is_some() && spelled == canonical(&nested(depth, "")), "{depth}");
            assert_ne!(spelled, canonical(&nested(depth + 1, "")), "{depth}");
        }
    }

    #[test]
    fn elements_are_taken_apart_one_level_deep() {
        let text = r#" [1, "a\"]", null, [2, "]"], {"b": [3]}, true] "#;
        let expected = [
            Element::Other("1"),
            Element::Text("a\"]".to_owned()),
            Element::Null,
            Element::List(r#"[2, "]"]"#),
            Element::Other(r#"{"b": [3]}"#),
            Element::Other("true"),
        ];
        assert_eq!(elements(text).as_deref(), Some(&expected[..]));
        assert_eq!(elements("[]"), Some(Vec::new()));
        for text in ["{}", "[1", "[1] 2", "1", "", "[,]"] {
            assert_eq!(elements(text), None, "{text}");
        }
    }
}
