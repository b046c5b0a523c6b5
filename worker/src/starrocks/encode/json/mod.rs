//! JSON columns: the value is written into the row unchanged, after a check that StarRocks accepts it.
//!
//! StarRocks refuses the whole body for one value that it cannot parse, so the check finds what PostgreSQL's `json`
//! allows and StarRocks does not (half surrogate pairs, `\u0000`, numbers beyond a double, deep nesting), and what
//! StarRocks would alter without an error (numbers that no double can hold exactly, duplicate keys).

mod keys;
mod number;

use serde::de::IgnoredAny;

use self::{keys::check_keys, number::check_number};
use super::{output::Output, problem::Problem};

/// Whether an object can have duplicate keys; `jsonb` has removed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    AreUnique,
    MayRepeat,
}

/// The longest JSON value of StarRocks, in bytes.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;
/// Most levels of nesting. simdjson allows 1024, of which the row takes one and the dimensions of an array some.
const DEEPEST: u32 = 1000;

pub(super) fn check_json(text: &[u8], keys: Keys) -> Result<(), Problem> {
    if text.len() > LONGEST {
        return Err(Problem::JsonTooLong);
    }
    std::str::from_utf8(text).map_err(|_| Problem::NotUtf8)?;
    serde_json::from_slice::<IgnoredAny>(text).map_err(|_| Problem::NotJson)?;
    if text.trim_ascii() == b"null" {
        return Err(Problem::JsonNull);
    }
    if keys == Keys::MayRepeat {
        check_keys(text)?;
    }
    check_tokens(text)
}

/// Writes a checked value on one line. Line ends in valid JSON are only white space, and become spaces.
pub(super) fn write_json<O: Output>(text: &[u8], out: &mut O) {
    let mut rest = text;
    while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
        out.put(&rest[..end]);
        out.put(b" ");
        rest = &rest[end + 1..];
    }
    out.put(rest);
}

/// Checks the strings, numbers and brackets of well-formed JSON. A number that loses digits is reported only when there
/// is no other problem, because the job may have a rule that accepts it.
fn check_tokens(text: &[u8]) -> Result<(), Problem> {
    let (mut rest, mut depth, mut exact) = (text, 0_u32, Ok(()));
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' => check_string(after)?,
            b'-' | b'0'..=b'9' => {
                let (number, after) = split_number(rest);
                match check_number(number) {
                    Err(Problem::JsonNumberTooLong) => exact = Err(Problem::JsonNumberTooLong),
                    checked => checked?,
                }
                after
            }
            b'{' | b'[' if depth == DEEPEST => return Err(Problem::JsonTooDeep),
            b'{' | b'[' => {
                depth += 1;
                after
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                after
            }
            _ => after,
        };
    }
    exact
}

/// Splits off the number at the beginning of the text.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    text.split_at(text.iter().position(|byte| !part(byte)).unwrap_or(text.len()))
}

/// Checks the escapes of a string; returns the text after it.
fn check_string(text: &[u8]) -> Result<&[u8], Problem> {
    let mut rest = text;
    loop {
        let place = memchr::memchr2(b'"', b'\\', rest).ok_or(Problem::NotJson)?;
        let (special, after) = rest[place..].split_first().ok_or(Problem::NotJson)?;
        rest = match (special, after) {
            (b'"', _) => return Ok(after),
            (_, [b'u', ..]) => check_unicode(after)?,
            (_, [_, after @ ..]) => after,
            (_, []) => return Err(Problem::NotJson),
        };
    }
}

/// Checks `uD83D\uDE00`: a high surrogate must be followed by a low one, and a low one must not occur alone.
fn check_unicode(text: &[u8]) -> Result<&[u8], Problem> {
    let (unit, rest) = unit(text).ok_or(Problem::NotJson)?;
    match unit {
        0 | 0xDC00..=0xDFFF => Err(Problem::JsonEscape),
        0xD800..=0xDBFF => {
            let low = rest.strip_prefix(b"\\").and_then(self::unit);
            let low = low.filter(|(low, _)| (0xDC00..=0xDFFF).contains(low));
            low.map(|(_, rest)| rest).ok_or(Problem::JsonEscape)
        }
        _ => Ok(rest),
    }
}

fn unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.strip_prefix(b"u")?.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_would_fail_the_body_is_refused() {
        let (deep, deepest) = (nested(1001), nested(1000));
        for (text, expected) in [
            (r#"{"a": [1, -2.5e10, "x\"\\\u0041", null, true]}"#, Ok(())),
            (r#""\ud83d\ude00""#, Ok(())),
            (r#""\\u0000""#, Ok(())),
            ("1e308", Ok(())),
            ("18446744073709551615", Ok(())),
            ("123456789012345678901234567890", Err(Problem::JsonNumberTooLong)),
            (r#"[123456789012345678901234567890, "\u0000"]"#, Err(Problem::JsonEscape)),
            ("1e400", Err(Problem::JsonNumberTooLarge)),
            ("[-1E999]", Err(Problem::JsonNumberTooLarge)),
            (r#""\u0000""#, Err(Problem::JsonEscape)),
            (r#""\ud800""#, Err(Problem::JsonEscape)),
            (r#""\ud800\ud800""#, Err(Problem::JsonEscape)),
            (r#""\udc00""#, Err(Problem::JsonEscape)),
            (r#"{"\ud800x":1}"#, Err(Problem::JsonEscape)),
            (" null\n", Err(Problem::JsonNull)),
            ("[null]", Ok(())),
            ("", Err(Problem::NotJson)),
            ("1,\"x\":2", Err(Problem::NotJson)),
            ("{} {}", Err(Problem::NotJson)),
            (&deep, Err(Problem::JsonTooDeep)),
            (&deepest, Ok(())),
        ] {
            assert_eq!(check_json(text.as_bytes(), Keys::AreUnique), expected, "{text}");
        }
    }

    #[test]
    fn a_key_that_comes_twice_is_refused_where_it_may() {
        let twice = br#"{"a": 1, "a": 2}"#;
        assert_eq!(check_json(twice, Keys::MayRepeat), Err(Problem::JsonKeyTwice));
        assert_eq!(check_json(twice, Keys::AreUnique), Ok(()));
    }

    #[test]
    fn more_than_sixteen_mebibytes_are_refused() {
        assert_eq!(check_json(&vec![b' '; LONGEST + 1], Keys::AreUnique), Err(Problem::JsonTooLong));
    }

    #[test]
    fn a_value_takes_one_line() {
        let mut line = Vec::new();
        write_json(b"{\r\n \"a\":\n1}", &mut line);
        assert_eq!(line, b"{   \"a\": 1}");
    }

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }
}
