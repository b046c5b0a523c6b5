//! Decimals as text: exact up to 76 digits, rounded half away from zero.

use std::cmp::Ordering;

/// No decimal of a load needs an exponent beyond this limit, which bounds the work.
const MAX_EXPONENT: i32 = 1000;

struct Parts {
    is_negative: bool,
    /// The digits, without leading zeros.
    digits: Vec<u8>,
    /// The number of digits after the point; may be larger than the number of digits.
    fraction: i32,
}

/// `text` with exactly `scale` fraction digits; further ones are rounded off without an error. `None` when the text is
/// no number or has too many integer digits.
pub(crate) fn parse(text: &str, precision: u8, scale: u8) -> Option<String> {
    let mut parts = split(text.trim())?;
    round(&mut parts, i32::from(scale));
    let most = usize::from(precision);
    if parts.digits.len() > most {
        return None;
    }
    Some(write(&parts, usize::from(scale)))
}

pub(crate) fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (mut left, mut right) = (split(left.trim())?, split(right.trim())?);
    let scale = left.fraction.max(right.fraction);
    round(&mut left, scale);
    round(&mut right, scale);
    let magnitude = left.digits.len().cmp(&right.digits.len()).then_with(|| left.digits.cmp(&right.digits));
    Some(match (left.sign(), right.sign()) {
        (same, other) if same != other => same.cmp(&other),
        (-1, _) => magnitude.reverse(),
        _ => magnitude,
    })
}

impl Parts {
    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

fn split(text: &str) -> Option<Parts> {
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !is_number || whole.len() + fraction.len() == 0 || exponent.abs() > MAX_EXPONENT {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0').collect();
    let fraction = i32::try_from(fraction.len()).ok()? - exponent;
    Some(Parts { is_negative, digits, fraction })
}

/// Rounds or pads to exactly `scale` digits after the point.
fn round(parts: &mut Parts, scale: i32) {
    let extra = parts.fraction - scale;
    parts.fraction = scale;
    let Ok(cut) = usize::try_from(extra) else {
        if !parts.digits.is_empty() {
            parts.digits.resize(parts.digits.len() + extra.unsigned_abs() as usize, b'0');
        }
        return;
    };
    if cut == 0 {
        return;
    }
    // When more digits are cut than there are, the first of them is a zero.
    let first_cut = parts.digits.len().checked_sub(cut).and_then(|at| parts.digits.get(at)).copied();
    parts.digits.truncate(parts.digits.len().saturating_sub(cut));
    if first_cut.is_some_and(|digit| digit >= b'5') {
        add_one(&mut parts.digits);
    }
}

fn add_one(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

fn write(parts: &Parts, scale: usize) -> String {
    let digits = String::from_utf8_lossy(&parts.digits);
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let sign = if parts.sign() < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_extra_digits_are_rounded_silently() {
        let cases = [
            ("1.005", Some("1.01")),
            ("1.004", Some("1.00")),
            ("-1.005", Some("-1.01")),
            ("-0.001", Some("0.00")),
            ("999.994", Some("999.99")),
            ("999.995", None),
            ("1e2", Some("100.00")),
            ("1.5E-1", Some("0.15")),
            ("0.004", Some("0.00")),
            ("0.0051", Some("0.01")),
            ("007", Some("7.00")),
            ("1000", None),
            ("NaN", None),
            ("", None),
            (".", None),
            ("1e99999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, 5, 2).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn decimals_compare_by_value() {
        assert_eq!(compare("10", "9.99"), Some(Ordering::Greater));
        assert_eq!(compare("-10", "-9.99"), Some(Ordering::Less));
        assert_eq!(compare("1.0", "1"), Some(Ordering::Equal));
        assert_eq!(compare("-0", "0"), Some(Ordering::Equal));
    }
}
