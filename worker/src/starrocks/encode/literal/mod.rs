//! Converts arrays and `hstore` from PostgreSQL's text to JSON: `{1,NULL}` becomes `[1,null]`, and `"a"=>"b"` becomes
//! `{"a":"b"}`.
//!
//! The JSON is never in memory as a whole: the text is checked and then converted run by run, and can be interrupted
//! after any run. Lower bounds (`[0:1]={1,2}`) are omitted, because JSON has none.

mod check;

use self::check::Elements;
use super::{
    json::{LONGEST, write_json},
    output::{AT_ONCE, Count, Output},
    problem::Problem,
    text::write_escaped,
};
use crate::table::Element;

/// What the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LiteralKind {
    Array { element: Element, delimiter: u8 },
    Hstore,
}

/// Checks that the text is well-formed and that StarRocks can hold its JSON.
pub(super) fn check_literal(kind: LiteralKind, text: &[u8]) -> Result<(), Problem> {
    std::str::from_utf8(text).map_err(|_| Problem::NotUtf8)?;
    Elements::new(kind, text).check()?;
    let (mut literal, mut count) = (Literal::new(kind, text), Count::default());
    while !literal.write_some(&mut count) {}
    if count.taken() > LONGEST { Err(Problem::JsonTooLong) } else { Ok(()) }
}

/// An array or an `hstore` that is written in parts.
#[derive(Debug)]
pub(super) struct Literal<'a> {
    rest: &'a [u8],
    element: Element,
    /// The delimiter of array elements; none for an `hstore`.
    delimiter: Option<u8>,
    in_quotes: bool,
    begun: bool,
}

impl<'a> Literal<'a> {
    pub(super) fn new(kind: LiteralKind, text: &'a [u8]) -> Self {
        let (element, delimiter) = match kind {
            LiteralKind::Array { element, delimiter } => (element, Some(delimiter)),
            LiteralKind::Hstore => (Element::Text, None),
        };
        let rest = if delimiter.is_some() { without_bounds(text) } else { text };
        Self { rest, element, delimiter, in_quotes: false, begun: false }
    }

    /// Writes the next part of a checked text; returns whether nothing is left.
    pub(super) fn write_some<O: Output>(&mut self, out: &mut O) -> bool {
        let is_object = self.delimiter.is_none();
        if !std::mem::replace(&mut self.begun, true) && is_object {
            out.put(b"{");
        }
        let enough = out.taken() + AT_ONCE;
        while !self.rest.is_empty() && out.taken() < enough {
            self.rest = if self.in_quotes { self.quoted(out) } else { self.plain(out) };
        }
        let ended = self.rest.is_empty();
        if ended && is_object {
            out.put(b"}");
        }
        ended
    }

    /// Within quotes: writes the run up to the next quote or backslash, and that mark. Returns the rest.
    fn quoted<O: Output>(&mut self, out: &mut O) -> &'a [u8] {
        let end = memchr::memchr2(b'"', b'\\', self.rest).unwrap_or(self.rest.len()).min(AT_ONCE);
        let (run, rest) = self.rest.split_at(end);
        self.put_content(run, out);
        match rest {
            [b'"', rest @ ..] => {
                self.in_quotes = false;
                self.put_quote(out);
                rest
            }
            [b'\\', rest @ ..] => {
                let (escaped, rest) = rest.split_at(rest.len().min(1));
                self.put_content(escaped, out);
                rest
            }
            rest => rest,
        }
    }

    /// Outside quotes: writes one mark or one unquoted value. Returns the rest.
    fn plain<O: Output>(&mut self, out: &mut O) -> &'a [u8] {
        let (first, rest) = self.rest.split_at(1);
        match (first, self.delimiter) {
            (b"\"", _) => {
                self.in_quotes = true;
                self.put_quote(out);
            }
            (b"{", Some(_)) => out.put(b"["),
            (b"}", Some(_)) => out.put(b"]"),
            (mark, Some(delimiter)) if *mark == [delimiter] => out.put(b","),
            (b",", None) => out.put(b","),
            (b"=", None) => out.put(b":"),
            (b">" | b" ", None) => {}
            _ => return self.bare(out),
        }
        rest
    }

    fn bare<O: Output>(&mut self, out: &mut O) -> &'a [u8] {
        let (value, rest) = split_bare(self.rest, self.delimiter.unwrap_or(b','));
        write_bare(self.element, value, out);
        rest
    }

    fn put_content<O: Output>(&self, text: &[u8], out: &mut O) {
        if self.element == Element::Json { write_json(text, out) } else { write_escaped(text, out) }
    }

    /// Quoted content is a string, or JSON, which is written without the quotes that the array needed.
    fn put_quote<O: Output>(&self, out: &mut O) {
        if self.element != Element::Json {
            out.put(b"\"");
        }
    }
}

/// Removes the lower bounds of an array whose indexes do not begin at 1: `[0:1]={1,2}`.
fn without_bounds(text: &[u8]) -> &[u8] {
    match memchr::memchr(b'=', text) {
        Some(mark) if text.starts_with(b"[") => &text[mark + 1..],
        _ => text,
    }
}

/// Splits off an unquoted value.
fn split_bare(text: &[u8], delimiter: u8) -> (&[u8], &[u8]) {
    text.split_at(memchr::memchr2(delimiter, b'}', text).unwrap_or(text.len()))
}

fn write_bare<O: Output>(element: Element, value: &[u8], out: &mut O) {
    match (element, value) {
        (_, b"NULL") => out.put(b"null"),
        (Element::Boolean, b"t") => out.put(b"true"),
        (Element::Boolean, _) => out.put(b"false"),
        // Without a point StarRocks would read the whole number 0, which has no sign.
        (Element::Float, b"-0") => out.put(b"-0.0"),
        (Element::Integer | Element::Json, number) => out.put(number),
        (Element::Float, number) if number.iter().any(u8::is_ascii_digit) => out.put(number),
        (Element::Float | Element::Text, text) => {
            out.put(b"\"");
            write_escaped(text, out);
            out.put(b"\"");
        }
    }
}

#[cfg(test)]
mod tests;
