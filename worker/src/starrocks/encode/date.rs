//! Dates and times: accepts only spellings that StarRocks reads exactly, because its lenient parser drops what it does
//! not understand without an error.

use std::time::Duration;

use super::problem::Problem;

const DATE: &[u8] = b"dddd-dd-dd";
const DATE_TIME: &[u8] = b"dddd-dd-dd dd:dd:dd";

/// Whether the text is a date of the years 1 to 9999.
pub(super) fn check_date(text: &[u8]) -> Result<(), Problem> {
    if text.len() == DATE.len() && has_shape(text, DATE) { Ok(()) } else { Err(Problem::NotADate) }
}

/// Whether the text is a date and time of the years 1 to 9999, in UTC where it has an offset.
#[inline]
pub(super) fn check_date_time(text: &[u8], utc: bool) -> Result<(), Problem> {
    let local = if utc { without_offset(text)? } else { text };
    let (whole, fraction) = local.split_at_checked(DATE_TIME.len()).ok_or(Problem::NotADate)?;
    let exact = match fraction {
        [] => true,
        [b'.', digits @ ..] => (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if exact && has_shape(whole, DATE_TIME) { Ok(()) } else { Err(Problem::NotADate) }
}

/// A checked `timestamptz` without the offset of UTC.
#[inline]
pub(super) fn without_utc(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"+00").unwrap_or(text)
}

fn without_offset(text: &[u8]) -> Result<&[u8], Problem> {
    text.strip_suffix(b"+00").ok_or_else(|| {
        let dated = text.get(..DATE.len()).is_some_and(|date| has_shape(date, DATE));
        if dated && !text.ends_with(b" BC") { Problem::NotUtc } else { Problem::NotADate }
    })
}

fn has_shape(text: &[u8], shape: &[u8]) -> bool {
    text.iter().zip(shape).all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        literal => byte == literal,
    })
}

/// Formats a time since the epoch as `YYYY-MM-DD HH:MM:SS.ffffff`.
pub(crate) fn utc(since_epoch: Duration) -> String {
    let (seconds, micros) = (since_epoch.as_secs(), since_epoch.subsec_micros());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// Year, month and day of a day since the epoch. Years are counted from March, so that a leap day is the last of its
/// year (algorithm of Howard Hinnant).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_that_starrocks_reads_exactly_pass() {
        for (text, expected) in [
            ("2024-02-29", Ok(())),
            ("0001-01-01", Ok(())),
            ("0044-03-15 BC", Err(Problem::NotADate)),
            ("10000-01-01", Err(Problem::NotADate)),
            ("infinity", Err(Problem::NotADate)),
            ("-infinity", Err(Problem::NotADate)),
            ("2024-02-2\"", Err(Problem::NotADate)),
        ] {
            assert_eq!(check_date(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_timestamp_keeps_its_digits_and_loses_the_offset_of_utc() {
        for (text, utc, expected) in [
            ("2024-02-29 23:59:59", false, Ok("2024-02-29 23:59:59")),
            ("2024-02-29 23:59:59.123456", false, Ok("2024-02-29 23:59:59.123456")),
            ("2024-02-29 23:59:59.1+00", true, Ok("2024-02-29 23:59:59.1")),
            ("2024-02-29 23:59:59+05:30", true, Err(Problem::NotUtc)),
            ("2024-02-29 23:59:59", true, Err(Problem::NotUtc)),
            ("2024-02-29 23:59:59+00", false, Err(Problem::NotADate)),
            ("0044-03-15 00:00:00+00 BC", true, Err(Problem::NotADate)),
            ("20240-02-29 23:59:59", false, Err(Problem::NotADate)),
            ("2024-02-29 23:59:59.1234567", false, Err(Problem::NotADate)),
            ("2024-02-29 23:59:59.", false, Err(Problem::NotADate)),
            ("2024-02-29T23:59:59", false, Err(Problem::NotADate)),
            ("infinity", true, Err(Problem::NotADate)),
            ("", false, Err(Problem::NotADate)),
        ] {
            let text = text.as_bytes();
            assert_eq!(check_date_time(text, utc), expected.map(drop), "{text:?}");
            if let Ok(expected) = expected {
                assert_eq!(if utc { without_utc(text) } else { text }, expected.as_bytes());
            }
        }
    }

    #[test]
    fn a_moment_prints_as_its_date_in_utc() {
        for (seconds, micros, expected) in [
            (0, 0, "1970-01-01 00:00:00.000000"),
            (951_782_400, 5, "2000-02-29 00:00:00.000005"),
            (1_735_689_599, 999_999, "2024-12-31 23:59:59.999999"),
            (4_102_444_800, 0, "2100-01-01 00:00:00.000000"),
        ] {
            assert_eq!(utc(Duration::new(seconds, micros * 1000)), expected);
        }
    }
}
