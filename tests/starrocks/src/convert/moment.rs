//! Dates and times from text, read as leniently as in StarRocks (§8.3).
//!
//! Text after a readable date is dropped without an error: `+05:30`, ` BC`, fraction digits after the sixth.

use crate::value::{Date, DateTime};

pub(crate) fn parse(text: &str) -> Option<DateTime> {
    let text = text.trim();
    let compact = text.bytes().take_while(u8::is_ascii_digit).count();
    let (numbers, rest) = if compact >= 6 { split_compact(text, compact)? } else { split_delimited(text)? };
    let micros = rest.map_or(0, fraction);
    build(&numbers, micros)
}

/// Year, month, day, hour, minute and second, as many as the text has.
type Numbers = Vec<u32>;

/// `20260102` and `20260102030405`, with two or four digits of year.
fn split_compact(text: &str, length: usize) -> Option<(Numbers, Option<&str>)> {
    let (digits, rest) = text.split_at(length);
    let year_digits = match length {
        6 | 12 => 2,
        8 | 14 => 4,
        _ => return None,
    };
    let (year, others) = digits.split_at(year_digits);
    let mut numbers = vec![expand_year(year)?];
    for pair in others.as_bytes().chunks(2) {
        numbers.push(std::str::from_utf8(pair).ok()?.parse().ok()?);
    }
    Some((numbers, rest.strip_prefix('.')))
}

/// Groups of digits with any punctuation, a blank or a `T` between them. They end at the first character of another
/// kind; a `+` begins a time zone and ends them too.
fn split_delimited(text: &str) -> Option<(Numbers, Option<&str>)> {
    let mut numbers = Numbers::new();
    let mut rest = text;
    loop {
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = rest.split_at(length);
        let is_year = numbers.is_empty();
        match length {
            0 => break,
            1..=4 if is_year => numbers.push(expand_year(digits)?),
            1..=2 if !is_year => numbers.push(digits.parse().ok()?),
            _ => return None,
        }
        if numbers.len() == 6 {
            return Some((numbers, after.strip_prefix('.')));
        }
        match separator(after, numbers.len()) {
            Some(next) => rest = next,
            None => break,
        }
    }
    (numbers.len() >= 3).then_some((numbers, None))
}

fn separator(text: &str, numbers: usize) -> Option<&str> {
    let first = text.chars().next()?;
    let next = text.get(first.len_utf8()..)?;
    match first {
        'T' | ' ' if numbers == 3 => Some(next.trim_start_matches(' ')),
        '+' => None,
        '-' if numbers > 3 => None,
        _ if first.is_ascii_punctuation() => Some(next),
        _ => None,
    }
}

fn expand_year(digits: &str) -> Option<u32> {
    let year: u32 = digits.parse().ok()?;
    Some(match (digits.len(), year) {
        (1 | 2, 0..=69) => 2000 + year,
        (1 | 2, _) => 1900 + year,
        _ => year,
    })
}

/// The fraction, of which at most six digits count.
fn fraction(text: &str) -> u32 {
    let digits = text.bytes().take_while(u8::is_ascii_digit).chain(std::iter::repeat(b'0')).take(6);
    digits.fold(0, |micros, digit| micros * 10 + u32::from(digit - b'0'))
}

fn build(numbers: &[u32], micros: u32) -> Option<DateTime> {
    let part = |place: usize| numbers.get(place).copied().unwrap_or(0);
    let (year, month, day) = (part(0), part(1), part(2));
    let (hour, minute, second) = (part(3), part(4), part(5));
    let is_date = year <= 9999 && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = Date { year: u16::try_from(year).ok()?, month: small(month)?, day: small(day)? };
    Some(DateTime { date, hour: small(hour)?, minute: small(minute)?, second: small(second)?, micros })
}

fn small(number: u32) -> Option<u8> {
    u8::try_from(number).ok()
}

fn days_in(year: u32, month: u32) -> u32 {
    let is_leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_the_lenient_parser_drops_what_it_does_not_understand() {
        let cases = [
            ("2026-01-02", Some("2026-01-02 00:00:00")),
            ("2026-01-02 03:04:05", Some("2026-01-02 03:04:05")),
            ("2026-01-02T03:04:05.5Z", Some("2026-01-02 03:04:05.500000")),
            ("2026-01-02 03:04:05.1234567", Some("2026-01-02 03:04:05.123456")),
            ("2026-01-02 03:04:05+00", Some("2026-01-02 03:04:05")),
            ("2026-01-02 03:04:05.25+05:30", Some("2026-01-02 03:04:05.250000")),
            ("0044-03-15 BC", Some("0044-03-15 00:00:00")),
            ("0000-01-01", Some("0000-01-01 00:00:00")),
            ("9999-12-31 23:59:59.999999", Some("9999-12-31 23:59:59.999999")),
            ("20260102", Some("2026-01-02 00:00:00")),
            ("10000-01-01", None),
            ("infinity", None),
            ("-infinity", None),
            ("2026-01-02 24:00:00", None),
            ("2026-02-29", None),
            ("2024-02-29", Some("2024-02-29 00:00:00")),
            ("2026-13-01", None),
            ("", None),
            ("2026", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).map(|moment| moment.print(true)).as_deref(), expected, "{text}");
        }
    }
}
