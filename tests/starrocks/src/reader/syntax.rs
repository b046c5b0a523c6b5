//! The grammar of JSON over borrowed text.
//!
//! Numbers keep their spelling, objects and arrays stay text until their parts are needed, and nesting is bounded.

use std::borrow::Cow;

use super::{Json, Object};

/// The maximum nesting of objects and arrays in simdjson, including the object of the row (§17).
const MAX_DEPTH: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse error. The JSON document has an improper structure at byte {at}: {reason}")]
pub(crate) struct SyntaxError {
    at: usize,
    reason: &'static str,
}

#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn error(&self, reason: &'static str) -> SyntaxError {
        SyntaxError { at: self.at, reason }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn text_since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    pub(crate) fn skip_blanks(&mut self) {
        self.at += self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    /// The next byte that is not blank.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.rest().first().copied()
    }

    /// Consumes `byte` if it is next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    pub(crate) fn object(&mut self) -> Result<Object<'a, Json<'a>>, SyntaxError> {
        let mut fields = Vec::new();
        self.fields(0, |name, value| fields.push((name, value)))?;
        Ok(fields)
    }

    fn fields(
        &mut self,
        depth: usize,
        mut each: impl FnMut(Cow<'a, str>, Json<'a>),
    ) -> Result<(), SyntaxError> {
        if !self.take(b'{') {
            return Err(self.error("an object should start here"));
        }
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.skip_blanks();
            let name = self.string()?;
            if !self.take(b':') {
                return Err(self.error("a colon is missing"));
            }
            each(name, self.value(depth + 1)?);
            if !self.take(b',') {
                return if self.take(b'}') { Ok(()) } else { Err(self.error("an object is not closed")) };
            }
        }
    }

    pub(crate) fn array(&mut self, depth: usize, mut each: impl FnMut(Json<'a>)) -> Result<(), SyntaxError> {
        if !self.take(b'[') {
            return Err(self.error("an array should start here"));
        }
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self.value(depth + 1)?);
            if !self.take(b',') {
                return if self.take(b']') { Ok(()) } else { Err(self.error("an array is not closed")) };
            }
        }
    }

    pub(crate) fn value(&mut self, depth: usize) -> Result<Json<'a>, SyntaxError> {
        let first = self.peek();
        let start = self.at;
        if depth >= MAX_DEPTH && matches!(first, Some(b'{' | b'[')) {
            return Err(self.error("the nesting is too deep"));
        }
        match first {
            Some(b'{') => {
                self.fields(depth, |_, _| {})?;
                Ok(Json::Composite(self.text_since(start)))
            }
            Some(b'[') => {
                self.array(depth, |_| {})?;
                Ok(Json::Composite(self.text_since(start)))
            }
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Json<'a>, SyntaxError> {
        let words = [("true", Json::Boolean(true)), ("false", Json::Boolean(false)), ("null", Json::Null)];
        for (word, json) in words {
            if self.rest().starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(json);
            }
        }
        Err(self.error("no value starts like this"))
    }

    /// The spelling of the number with the blanks after it, which a text column stores too (§7.1).
    fn number(&mut self) -> Result<Json<'a>, SyntaxError> {
        let start = self.at;
        self.at += usize::from(self.rest().first() == Some(&b'-'));
        let whole = self.digits();
        let has_leading_zero = whole > 1 && self.text.as_bytes().get(self.at - whole) == Some(&b'0');
        if whole == 0 || has_leading_zero {
            return Err(self.error("a number is malformed"));
        }
        if self.rest().first() == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.rest().first() {
            self.at += 1;
            self.at += usize::from(matches!(self.rest().first(), Some(b'+' | b'-')));
            self.some_digits()?;
        }
        self.skip_blanks();
        Ok(Json::Number(self.text_since(start)))
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn some_digits(&mut self) -> Result<(), SyntaxError> {
        if self.digits() == 0 { Err(self.error("a number is malformed")) } else { Ok(()) }
    }

    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        if self.rest().first() != Some(&b'"') {
            return Err(self.error("a string should start here"));
        }
        self.at += 1;
        let start = self.at;
        let plain = self.plain_run();
        if self.rest().first() == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        self.at = start;
        self.escaped_string().map(Cow::Owned)
    }

    /// Bytes up to a quote, a backslash or a control character.
    fn plain_run(&mut self) -> &'a str {
        let start = self.at;
        let rest = self.rest();
        let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
        self.at += rest.iter().position(special).unwrap_or(rest.len());
        self.text_since(start)
    }

    fn escaped_string(&mut self) -> Result<String, SyntaxError> {
        let mut text = String::new();
        loop {
            text.push_str(self.plain_run());
            let Some(byte) = self.rest().first() else { return Err(self.error("a string is not closed")) };
            if !matches!(byte, b'"' | b'\\') {
                return Err(self.error("a control character is not escaped"));
            }
            self.at += 1;
            if *byte == b'"' {
                return Ok(text);
            }
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let Some(byte) = self.rest().first() else { return Err(self.error("a string is not closed")) };
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.error("an escape is unknown")),
        })
    }

    /// NUL and lone surrogates fail the load (§13).
    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let bad = self.error("a unicode escape is malformed");
        let high = self.hex4().ok_or_else(|| bad.clone())?;
        let code = if (0xD800..0xDC00).contains(&high) {
            let follows = self.rest().starts_with(b"\\u");
            self.at += 2 * usize::from(follows);
            let low = self
                .hex4()
                .filter(|low| follows && (0xDC00..0xE000).contains(low))
                .ok_or_else(|| bad.clone())?;
            0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
        } else {
            high
        };
        char::from_u32(code).filter(|letter| *letter != '\0').ok_or(bad)
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        self.at += 4;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }
}
