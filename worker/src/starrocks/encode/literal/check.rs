//! Checks an array or an `hstore`, element by element.

use super::{LiteralKind, split_bare, without_bounds};
use crate::{
    starrocks::encode::{
        json::{Keys, check_json},
        number::{check_float, check_integer},
        problem::Problem,
    },
    table::Element,
};

/// PostgreSQL's limit.
const MOST_DIMENSIONS: u32 = 6;
/// Digits of the largest unsigned 64-bit number.
const MOST_DIGITS: u8 = 20;

/// The text that is still to be checked.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    kind: LiteralKind,
    /// Whether every number keeps its digits. Reported only when there is no other problem, because the job may have a
    /// rule that accepts it.
    exact: Checked,
}

type Checked = Result<(), Problem>;

impl<'a> Elements<'a> {
    pub(super) fn new(kind: LiteralKind, text: &'a [u8]) -> Self {
        Self { rest: text, kind, exact: Ok(()) }
    }

    pub(super) fn check(mut self) -> Checked {
        match self.kind {
            LiteralKind::Array { element, delimiter } => self.array(element, delimiter)?,
            LiteralKind::Hstore => self.pairs()?,
        }
        self.exact
    }

    fn json(&mut self, text: &[u8]) -> Checked {
        match check_json(text, Keys::MayRepeat) {
            Err(Problem::JsonNumberTooLong) => self.exact = Err(Problem::JsonNumberTooLong),
            checked => checked?,
        }
        Ok(())
    }

    fn array(&mut self, element: Element, delimiter: u8) -> Checked {
        self.rest = without_bounds(self.rest);
        if self.rest == b"{}" {
            return Ok(());
        }
        let mut depth = 0;
        loop {
            while self.take(b"{") {
                depth += 1;
            }
            if !(1..=MOST_DIMENSIONS).contains(&depth) {
                return Err(Problem::Misspelled);
            }
            self.element(element, delimiter)?;
            while self.take(b"}") {
                depth -= 1;
                if depth == 0 {
                    return self.end();
                }
            }
            self.expect(&[delimiter])?;
        }
    }

    fn element(&mut self, element: Element, delimiter: u8) -> Checked {
        if self.rest.starts_with(b"\"") {
            return match (self.quoted()?, element) {
                (text, Element::Json) => self.json(&unescaped(text)),
                (_, Element::Text) => Ok(()),
                _ => Err(Problem::Misspelled),
            };
        }
        let (bare, rest) = split_bare(self.rest, delimiter);
        self.rest = rest;
        match (element, bare) {
            (_, b"NULL") | (Element::Boolean, b"t" | b"f") => Ok(()),
            (_, b"") | (Element::Boolean, _) => Err(Problem::Misspelled),
            (Element::Integer, number) => check_integer(number, MOST_DIGITS),
            (Element::Float, number) => check_element_float(number),
            (Element::Json, json) => self.json(json),
            // An unquoted text with these characters would end the string or the array too early.
            (Element::Text, text) => {
                if memchr::memchr3(b'"', b'\\', b'{', text).is_none() {
                    Ok(())
                } else {
                    Err(Problem::Misspelled)
                }
            }
        }
    }

    /// `"key"=>"value", "key"=>NULL`
    fn pairs(&mut self) -> Checked {
        if self.rest.is_empty() {
            return Ok(());
        }
        loop {
            self.quoted()?;
            self.expect(b"=>")?;
            if !self.take(b"NULL") {
                self.quoted()?;
            }
            if self.rest.is_empty() {
                return Ok(());
            }
            self.expect(b", ")?;
        }
    }

    /// Consumes a quoted string; returns its content with the escapes.
    fn quoted(&mut self) -> Result<&'a [u8], Problem> {
        self.expect(b"\"")?;
        let (text, mut end) = (self.rest, 0);
        loop {
            let special = text.get(end..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest));
            end += special.ok_or(Problem::Misspelled)?;
            if text[end] == b'"' {
                self.rest = &text[end + 1..];
                return Ok(&text[..end]);
            }
            // PostgreSQL escapes nothing else, and skipping one byte could split a character.
            match text.get(end + 1) {
                Some(b'"' | b'\\') => end += 2,
                _ => return Err(Problem::Misspelled),
            }
        }
    }

    fn take(&mut self, mark: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, mark: &[u8]) -> Checked {
        if self.take(mark) { Ok(()) } else { Err(Problem::Misspelled) }
    }

    fn end(&self) -> Checked {
        if self.rest.is_empty() { Ok(()) } else { Err(Problem::Misspelled) }
    }
}

/// Checks for a float that is a valid JSON number, or one of the three that are written as strings.
fn check_element_float(text: &[u8]) -> Checked {
    match text {
        b"NaN" | b"Infinity" | b"-Infinity" => Ok(()),
        _ => {
            check_float(text)?;
            let number =
                std::str::from_utf8(text).ok().and_then(|text| text.parse::<serde_json::Number>().ok());
            number.map(drop).ok_or(Problem::Misspelled)
        }
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(mark) = memchr::memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..mark]);
        let (escaped, after) = rest[mark + 1..].split_at(rest.len().saturating_sub(mark + 1).min(1));
        plain.extend_from_slice(escaped);
        rest = after;
    }
    plain.extend_from_slice(rest);
    plain
}
