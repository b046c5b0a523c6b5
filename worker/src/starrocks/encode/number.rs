//! Checks that the target can hold a number. Numbers are written in their own spelling.

use super::{output::Output, problem::Problem};

/// Checks for a whole number of at most `digits` digits.
pub(super) fn check_integer(text: &[u8], digits: u8) -> Result<(), Problem> {
    let number = unsigned(text);
    match number.len() {
        _ if !is_whole(number) => Err(Problem::NotANumber),
        length if length > usize::from(digits) => Err(Problem::TooManyDigits),
        _ => Ok(()),
    }
}

/// Checks for a number of at most `whole` digits before and `places` digits after the point.
///
/// StarRocks rounds further digits without an error.
pub(super) fn check_decimal(text: &[u8], whole: u8, places: u8) -> Result<(), Problem> {
    let number = unsigned(text);
    let (before, after) = match memchr::memchr(b'.', number) {
        Some(point) => (&number[..point], Some(&number[point + 1..])),
        None => (number, None),
    };
    if !is_whole(before) || after.is_some_and(|after| after.is_empty() || !all_digits(after)) {
        return Err(Problem::NotANumber);
    }
    // The zero in 0.5 does not count as a digit of the column.
    let before = if before == b"0" { 0 } else { before.len() };
    let fits = before <= usize::from(whole) && after.map_or(0, <[u8]>::len) <= usize::from(places);
    if fits { Ok(()) } else { Err(Problem::TooManyDigits) }
}

/// Checks for a floating-point number in PostgreSQL's spelling, including NaN and infinities.
pub(super) fn check_float(text: &[u8]) -> Result<(), Problem> {
    let spelled = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    if !text.is_empty() && text.iter().all(spelled) { Ok(()) } else { Err(Problem::NotANumber) }
}

/// Checks for an amount in the spelling of `lc_monetary = C`: `-$1,234.50`.
pub(super) fn check_money(text: &[u8]) -> Result<(), Problem> {
    let amount = unsigned(text).strip_prefix(b"$").and_then(|amount| amount.split_last_chunk::<3>());
    let (whole, [point, cents @ ..]) = amount.ok_or(Problem::Misspelled)?;
    let mut groups = whole.split(|byte| *byte == b',');
    let first = groups.next().is_some_and(|first| is_whole(first) && first.len() <= 3);
    // A zero before further groups would be a leading zero.
    let alone = !whole.starts_with(b"0,");
    let right = first && alone && groups.all(|group| group.len() == 3 && all_digits(group));
    if right && *point == b'.' && all_digits(cents) { Ok(()) } else { Err(Problem::Misspelled) }
}

/// Writes a checked amount as a number.
pub(super) fn write_money<O: Output>(text: &[u8], out: &mut O) {
    text.split(|byte| matches!(byte, b'$' | b',')).for_each(|digits| out.put(digits));
}

fn unsigned(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"-").unwrap_or(text)
}

/// Whether the text consists of digits without a leading zero, which JSON does not allow.
fn is_whole(number: &[u8]) -> bool {
    all_digits(number) && !number.is_empty() && (number[0] != b'0' || number.len() == 1)
}

fn all_digits(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_digits_and_a_sign() {
        for (text, digits, expected) in [
            ("0", 1, Ok(())),
            ("-9223372036854775808", 20, Ok(())),
            ("18446744073709551615", 20, Ok(())),
            ("123", 2, Err(Problem::TooManyDigits)),
            ("NaN", 9, Err(Problem::NotANumber)),
            ("", 9, Err(Problem::NotANumber)),
            ("-", 9, Err(Problem::NotANumber)),
            ("007", 9, Err(Problem::NotANumber)),
            ("1,\"x\":2", 9, Err(Problem::NotANumber)),
            ("1.0", 9, Err(Problem::NotANumber)),
        ] {
            assert_eq!(check_integer(text.as_bytes(), digits), expected, "{text}");
        }
    }

    #[test]
    fn a_decimal_that_would_be_rounded_is_refused() {
        for (text, expected) in [
            ("0.50", Ok(())),
            ("-12345678.90", Ok(())),
            ("12345678", Ok(())),
            ("123456789.00", Err(Problem::TooManyDigits)),
            ("0.501", Err(Problem::TooManyDigits)),
            ("NaN", Err(Problem::NotANumber)),
            ("-Infinity", Err(Problem::NotANumber)),
            ("1.", Err(Problem::NotANumber)),
            (".5", Err(Problem::NotANumber)),
            ("1e3", Err(Problem::NotANumber)),
            ("1.2.3", Err(Problem::NotANumber)),
        ] {
            assert_eq!(check_decimal(text.as_bytes(), 8, 2), expected, "{text}");
        }
    }

    #[test]
    fn a_decimal_without_whole_digits_still_shows_its_zero() {
        assert_eq!(check_decimal(b"0.0012", 0, 4), Ok(()));
        assert_eq!(check_decimal(b"1.0012", 0, 4), Err(Problem::TooManyDigits));
    }

    #[test]
    fn an_amount_of_money_becomes_a_number() {
        for (text, number) in [
            ("$0.00", "0.00"),
            ("-$5.01", "-5.01"),
            ("$123,456.00", "123456.00"),
            ("-$92,233,720,368,547,758.08", "-92233720368547758.08"),
        ] {
            assert_eq!(check_money(text.as_bytes()), Ok(()), "{text}");
            let mut written = Vec::new();
            write_money(text.as_bytes(), &mut written);
            assert_eq!(written, number.as_bytes());
        }
        for text in [
            "",
            "$",
            "1.00",
            "$1.0",
            "$1,00.00",
            "$1234.00",
            "$,123.00",
            "1,00 \u{20ac}",
            "$01.00",
            "$0,123.00",
            "$1.00\"",
        ] {
            assert_eq!(check_money(text.as_bytes()), Err(Problem::Misspelled), "{text}");
        }
    }

    #[test]
    fn a_float_is_any_spelling_of_postgresql() {
        for text in ["1.5", "-0", "NaN", "-Infinity", "3.4028235e+38"] {
            assert_eq!(check_float(text.as_bytes()), Ok(()), "{text}");
        }
        for text in ["", "1\"", "1 2", "\\"] {
            assert_eq!(check_float(text.as_bytes()), Err(Problem::NotANumber), "{text}");
        }
    }
}
