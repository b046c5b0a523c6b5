//! Numbers in JSON: StarRocks stores whole numbers of 64 bits exactly, and every other number as a double.

use std::io::Write as _;

use crate::starrocks::encode::problem::Problem;

/// Every number of up to so many digits is the shortest text of its double.
const EXACT_DIGITS: usize = 15;
/// Every whole number of up to so many digits fits 64 bits.
const WHOLE_DIGITS: usize = 18;
/// Buffer size; the longest text of a double in scientific notation is shorter.
const LONGEST_DOUBLE: usize = 32;

/// Checks that StarRocks stores the number exactly, possibly in another spelling.
pub(super) fn check_number(number: &[u8]) -> Result<(), Problem> {
    let whole = number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    let scaled = memchr::memchr2(b'e', b'E', number).is_some();
    if (whole && number.len() <= WHOLE_DIGITS) || (!scaled && number.len() <= EXACT_DIGITS) {
        return Ok(());
    }
    let text = std::str::from_utf8(number).map_err(|_| Problem::NotUtf8)?;
    if whole && (text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()) {
        return Ok(());
    }
    let double = text.parse::<f64>().map_err(|_| Problem::NotJson)?;
    if double.is_infinite() {
        return Err(Problem::JsonNumberTooLarge);
    }
    if same_number(number, double) { Ok(()) } else { Err(Problem::JsonNumberTooLong) }
}

/// Whether the shortest text of the double is the same number.
fn same_number(number: &[u8], double: f64) -> bool {
    let mut buffer = [0; LONGEST_DOUBLE];
    let mut rest = buffer.as_mut_slice();
    let written = write!(rest, "{double:e}").map(|()| LONGEST_DOUBLE - rest.len());
    let shortest = written.ok().and_then(|length| buffer.get(..length)).and_then(Scientific::read);
    Scientific::read(number).is_some_and(|number| Some(number) == shortest)
}

/// A number as its significant digits and the power of ten of the first one; equal for equal numbers.
#[derive(Debug)]
struct Scientific<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Power of ten of the first digit that is not zero.
    power: i64,
}

impl<'a> Scientific<'a> {
    fn read(number: &'a [u8]) -> Option<Self> {
        let number = number.strip_prefix(b"-").unwrap_or(number);
        let (digits, exponent) = match memchr::memchr2(b'e', b'E', number) {
            Some(mark) => (&number[..mark], &number[mark + 1..]),
            None => (number, &b"0"[..]),
        };
        let (whole, fraction) = match memchr::memchr(b'.', digits) {
            Some(point) => (&digits[..point], &digits[point + 1..]),
            None => (digits, &b""[..]),
        };
        let zeros = whole.iter().chain(fraction).take_while(|digit| **digit == b'0').count();
        let power = whole.len() as i64 - zeros as i64;
        if zeros == whole.len() + fraction.len() {
            return Some(Self { whole: b"", fraction: b"", power: 0 });
        }
        let exponent = std::str::from_utf8(exponent).ok()?.parse::<i64>().ok()?;
        Some(Self { whole, fraction, power: power.checked_add(exponent)? })
    }

    /// The digits without zeros at either end.
    fn digits(&self) -> impl Iterator<Item = u8> {
        let all = || self.whole.iter().chain(self.fraction).copied();
        let last = all().rev().take_while(|digit| *digit == b'0').count();
        all().take(self.whole.len() + self.fraction.len() - last).skip_while(|digit| *digit == b'0')
    }
}

impl PartialEq for Scientific<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.power == other.power && self.digits().eq(other.digits())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_that_a_double_holds_passes() {
        let (large, beyond) = ("9".repeat(308), "9".repeat(310));
        for (number, expected) in [
            ("0", Ok(())),
            ("-0", Ok(())),
            ("0e9999999999999999999", Ok(())),
            ("-9223372036854775808", Ok(())),
            ("18446744073709551615", Ok(())),
            ("18446744073709551616", Err(Problem::JsonNumberTooLong)),
            ("18446744073709551617", Err(Problem::JsonNumberTooLong)),
            ("0.1", Ok(())),
            ("1.500000000000000000000", Ok(())),
            ("0.30000000000000004", Ok(())),
            ("3.3333333333333333", Err(Problem::JsonNumberTooLong)),
            ("1E+2", Ok(())),
            ("100000000000000000000000", Ok(())),
            ("1e-400", Err(Problem::JsonNumberTooLong)),
            ("5e-324", Ok(())),
            ("1e400", Err(Problem::JsonNumberTooLarge)),
            (&large, Err(Problem::JsonNumberTooLong)),
            (&beyond, Err(Problem::JsonNumberTooLarge)),
        ] {
            assert_eq!(check_number(number.as_bytes()), expected, "{number}");
        }
    }

    proptest! {
        #[test]
        // In Rust's spelling: where two texts are equally short and near, other libraries may choose the other one.
        fn every_double_passes_in_its_shortest_spelling(double in any::<f64>().prop_filter("finite", |double| double.is_finite())) {
            let plain = format!("{double}");
            for number in [plain.clone(), format!("{double:e}")] {
                prop_assert_eq!(check_number(number.as_bytes()), Ok(()), "{}", plain);
            }
        }

        #[test]
        fn one_digit_more_than_the_shortest_spelling_is_lost(double in 0.1..0.2_f64) {
            let number = format!("{double:.17}1");
            prop_assert_eq!(check_number(number.as_bytes()), Err(Problem::JsonNumberTooLong));
        }
    }
}
