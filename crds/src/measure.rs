//! Parses amounts of bytes and durations of a spec: `16Mi`, `1s`.
//!
//! The schema and these functions accept the same values.

use std::time::Duration;

/// Bytes: a whole number, alone or with `Ki`, `Mi` or `Gi`.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A duration: a whole number with `ms`, `s`, `m` or `h`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_binary_units_only() {
        assert_eq!(bytes("32Mi"), Some(32 << 20));
        assert_eq!(bytes("4096"), Some(4096));
        assert_eq!(bytes("1Gi"), Some(1 << 30));
        for wrong in ["", "Mi", "1M", "1.5Mi", "-1Mi", "1 Mi", "99999999999999999999", "99999999999Gi"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        for wrong in ["", "5", "s", "1m30s", "-1s", "1d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
