//! The canonical form of a value of either side, and its digest: values are neither kept nor shown.
//!
//! Pure. Shares no code with the encoder that writes to StarRocks.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_128;

use super::{
    array,
    form::{Form, Side},
    hstore, json,
};

/// The digest of a value. Equal values have equal digests.
pub(super) type Digest = u128;

const NULL: Digest = 0;

pub(super) fn digest(form: &Form, side: Side, value: Option<&[u8]>) -> Digest {
    value.map_or(NULL, |value| xxh3_128(&canonical(form, side, value)).max(NULL + 1))
}

/// A value that does not parse stays unchanged: then both sides must have the same bytes.
pub(super) fn canonical<'a>(form: &Form, side: Side, value: &'a [u8]) -> Cow<'a, [u8]> {
    let text = || std::str::from_utf8(value).ok();
    let spelled = match form {
        Form::Boolean => boolean(value).map(|truth| vec![u8::from(truth)]),
        Form::Number => text().map(|text| number(text).into_bytes()),
        Form::Real => text().and_then(|text| text.parse::<f32>().ok()).map(|real| real_bits(real).to_vec()),
        Form::Double => {
            text().and_then(|text| text.parse::<f64>().ok()).map(|real| double_bits(real).to_vec())
        }
        Form::Padded => return Cow::Borrowed(without_blanks(value)),
        Form::Moment => text().map(|text| moment(text).into_bytes()),
        Form::Json => json::canonical(value),
        Form::Bytes if side == Side::Source => unhex(value),
        Form::Hstore if side == Side::Source => hstore::canonical(value),
        Form::Hstore => json::canonical(value),
        Form::Array(element, delimiter) => {
            array::canonical(element, *delimiter, side, value, &|leaf| canonical(element, side, leaf))
        }
        Form::Bytes | Form::Text => None,
    };
    spelled.map_or(Cow::Borrowed(value), Cow::Owned)
}

fn without_blanks(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    value.get(..end).unwrap_or_default()
}

pub(super) fn boolean(value: &[u8]) -> Option<bool> {
    match value {
        b"t" | b"true" | b"1" => Some(true),
        b"f" | b"false" | b"0" => Some(false),
        _ => None,
    }
}

/// The text of a number without the signs of money, insignificant zeros, and the sign of zero.
fn number(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !matches!(letter, '$' | ',')).collect();
    if text.chars().any(char::is_alphabetic) {
        return text; // NaN and the infinities
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    match (whole, fraction) {
        ("", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    }
}

/// The bits of a float; every NaN has the same.
fn real_bits(real: f32) -> [u8; 4] {
    if real.is_nan() { f32::NAN } else { real }.to_bits().to_be_bytes()
}

fn double_bits(real: f64) -> [u8; 8] {
    if real.is_nan() { f64::NAN } else { real }.to_bits().to_be_bytes()
}

/// The year as a number (1 BC is the year 0), and the rest without the suffixes of midnight and UTC.
fn moment(text: &str) -> String {
    dated(text).map_or_else(|| text.to_owned(), |(year, rest)| format!("{year}{rest}"))
}

/// Year and rest of a date or a timestamp; the infinities are the smallest and the largest year.
pub(super) fn dated(text: &str) -> Option<(i64, String)> {
    match text {
        "-infinity" => return Some((i64::MIN, String::new())),
        "infinity" => return Some((i64::MAX, String::new())),
        _ => {}
    }
    let (text, before_christ) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
    let (year, rest) = text.split_at_checked(text.find('-')?)?;
    let year: i64 = year.parse().ok()?;
    let rest = rest.strip_suffix("+00").unwrap_or(rest);
    let rest = if rest.contains('.') { rest.trim_end_matches('0').trim_end_matches('.') } else { rest };
    let rest = rest.strip_suffix(" 00:00:00").unwrap_or(rest);
    Some((if before_christ { 1 - year } else { year }, rest.to_owned()))
}

/// `\x6869`: PostgreSQL's text of bytes.
fn unhex(value: &[u8]) -> Option<Vec<u8>> {
    let digits = value.strip_prefix(b"\\x")?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::form::Elements, *};

    fn same(type_name: &str, source: &str, sink: &[u8]) -> bool {
        let element = type_name.strip_prefix('_');
        let elements = element.map(|name| Elements { type_name: name.to_owned(), delimiter: ',' });
        let is_document = elements.is_some() || ["json", "jsonb", "hstore"].contains(&type_name);
        let form = Form::of(type_name, elements.as_ref(), if is_document { "json" } else { "varchar(9)" });
        digest(&form, Side::Source, Some(source.as_bytes())) == digest(&form, Side::Sink, Some(sink))
    }

    #[test]
    fn one_value_in_two_spellings_is_one_value() {
        for (type_name, source, sink) in [
            ("bool", "t", &b"1"[..]),
            ("int8", "-9223372036854775808", b"-9223372036854775808"),
            ("numeric", "1.50", b"1.500000"),
            ("numeric", "0.00", b"0"),
            ("numeric", "NaN", b"NaN"),
            ("money", "-$1,234.50", b"-1234.50"),
            ("float4", "3.4028235e+38", b"3.4028235e+38"),
            ("float8", "1e+20", b"100000000000000000000"),
            ("float8", "NaN", b"nan"),
            ("float8", "-Infinity", b"-inf"),
            ("bpchar", "ab    ", b"ab"),
            ("date", "0001-01-01 BC", b"0000-01-01"),
            ("date", "2026-01-02", b"2026-01-02 00:00:00"),
            ("timestamp", "2026-01-02 03:04:05.5", b"2026-01-02 03:04:05.500000"),
            ("timestamptz", "2026-01-02 03:04:05+00", b"2026-01-02 03:04:05"),
            ("jsonb", "{\"a\": 1, \"b\": [true, 1.0]}", b"{\"b\":[true,1],\"a\":1}"),
            ("bytea", "\\x00ff", b"\x00\xff"),
            ("text", "é \u{2028}", "é \u{2028}".as_bytes()),
            ("_int4", "{1,NULL,3}", b"[1,null,3]"),
            ("_numeric", "[0:1]={1.50,NaN}", b"[\"1.5\",\"NaN\"]"),
            ("_bytea", "{\"\\\\x00ff\",NULL}", b"[\"\\\\x00ff\",null]"),
            ("hstore", "\"a\"=>\"1\", \"b\"=>NULL", b"{\"b\": null, \"a\": \"1\"}"),
            ("_hstore", "{\"\\\"a\\\"=>NULL\"}", b"[\"\\\"a\\\"=>NULL\"]"),
        ] {
            assert!(same(type_name, source, sink), "{type_name} {source}");
        }
    }

    #[test]
    fn two_values_are_two_whatever_their_spelling() {
        for (type_name, source, sink) in [
            ("bool", "t", &b"0"[..]),
            ("numeric", "1.10", b"1.01"),
            ("numeric", "-1", b"1"),
            ("numeric", "10", b"1"),
            ("float8", "-0", b"0"),
            ("float4", "1.1", b"1.2"),
            ("text", "a ", b"a"),
            ("text", "", b"NULL"),
            ("bpchar", " ab", b"ab"),
            ("bpchar", "ab", b"ab\n"),
            ("date", "0044-03-15 BC", b"0044-03-15"),
            ("timestamp", "2026-01-02 03:04:05.000001", b"2026-01-02 03:04:05"),
            ("timestamp", "infinity", b"9999-12-31 23:59:59"),
            ("jsonb", "{\"a\": 1}", b"{\"a\":\"1\"}"),
            ("jsonb", "null", b"\"null\""),
            ("bytea", "\\x00ff", b"\\x00ff"),
            ("_text", "{NULL}", b"[\"NULL\"]"),
            ("_bytea", "{\"\\\\x00ff\"}", b"[\"\\\\x00fe\"]"),
            ("hstore", "\"a\"=>NULL", b"{\"a\": \"NULL\"}"),
            ("_int4", "{{1,2}}", b"[1,2]"),
        ] {
            assert!(!same(type_name, source, sink), "{type_name} {source}");
        }
    }

    /// A text column keeps every digit of a number that a double cannot hold.
    #[test]
    fn a_document_that_is_kept_as_text_is_compared_as_text() {
        let form = Form::of("jsonb", None, "varchar(1048576)");
        let of = |side, text: &str| digest(&form, side, Some(text.as_bytes()));
        assert_ne!(of(Side::Source, "12345678901234567890123"), of(Side::Sink, "12345678901234567890124"));
    }

    #[test]
    fn null_is_no_value_of_any_form() {
        for form in [Form::Text, Form::Json, Form::Number] {
            assert_ne!(digest(&form, Side::Sink, None), digest(&form, Side::Source, Some(b"")));
        }
    }
}
