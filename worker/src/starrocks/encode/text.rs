//! Text in a JSON string: quotes, backslashes and control characters are escaped, everything else is unchanged.

use super::{output::Output, problem::Problem};
use crate::starrocks::target::LONGEST_TEXT;

/// Writes escaped text without the quotes around it.
#[inline]
pub(super) fn write_escaped<O: Output>(text: &[u8], out: &mut O) {
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain_prefix(rest));
        out.put(plain);
        let Some((byte, after)) = special.split_first() else { return };
        write_escape(*byte, out);
        rest = after;
    }
}

/// The first bytes of a text, at most `limit`, without a partial character at the end.
pub(super) fn first_bytes(text: &[u8], limit: usize) -> &[u8] {
    let Some(next) = text.get(limit) else { return text };
    let begins_character = |byte: &u8| *byte & 0xC0 != 0x80;
    let end = if begins_character(next) {
        limit
    } else {
        text[..limit].iter().rposition(begins_character).unwrap_or(0)
    };
    &text[..end]
}

/// Checks for a `bytea` that StarRocks can hold. It must be well-formed, because StarRocks turns wrong digits into an
/// empty value without an error.
pub(super) fn check_hex(text: &[u8]) -> Result<(), Problem> {
    let digits = text.strip_prefix(HEX_MARK).ok_or(Problem::Misspelled)?;
    match digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit) {
        false => Err(Problem::Misspelled),
        true if digits.len() / 2 > LONGEST_TEXT as usize => Err(Problem::TooLong(LONGEST_TEXT)),
        true => Ok(()),
    }
}

pub(super) fn hex_digits(text: &[u8]) -> &[u8] {
    text.strip_prefix(HEX_MARK).unwrap_or(text)
}

const HEX_MARK: &[u8] = br"\x";

fn write_escape<O: Output>(byte: u8, out: &mut O) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.put(b"\\\""),
        b'\\' => out.put(b"\\\\"),
        b'\n' => out.put(b"\\n"),
        b'\r' => out.put(b"\\r"),
        b'\t' => out.put(b"\\t"),
        other => {
            out.put(&[b'\\', b'u', b'0', b'0', HEX[usize::from(other >> 4)], HEX[usize::from(other & 15)]])
        }
    }
}

/// Number of bytes before the first that needs an escape, searched eight at a time.
#[inline]
fn plain_prefix(text: &[u8]) -> usize {
    let (words, tail) = text.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let found = specials(u64::from_le_bytes(*word));
        if found != 0 {
            return place * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let in_tail = tail.iter().position(|byte| is_special(*byte)).unwrap_or(tail.len());
    words.len() * 8 + in_tail
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The high bit of each byte that needs an escape. A borrow can mark a wrong byte, but only above one that is marked
/// correctly, so the lowest mark is exact.
#[inline]
fn specials(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let equals = |byte: u8| {
        let zeroed = word ^ (ONES * byte as u64);
        zeroed.wrapping_sub(ONES) & !zeroed
    };
    (control | equals(b'"') | equals(b'\\')) & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_escaped_or_left_as_json_asks() {
        for place in 0..20 {
            for byte in 0..=255 {
                let mut text = vec![b'a'; 20];
                text[place] = byte;
                let expected = if is_special(byte) { place } else { 20 };
                assert_eq!(plain_prefix(&text), expected, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, limit, expected) in [
            ("abc", 3, "abc"),
            ("abc", 2, "ab"),
            ("a\u{e9}b", 2, "a"),
            ("a\u{e9}b", 3, "a\u{e9}"),
            ("\u{1F600}", 3, ""),
            ("\u{1F600}\u{1F600}", 4, "\u{1F600}"),
        ] {
            assert_eq!(first_bytes(text.as_bytes(), limit), expected.as_bytes(), "{text} {limit}");
        }
    }

    #[test]
    fn hexadecimal_digits_come_in_pairs_and_only_digits() {
        for (text, expected) in [
            ("\\x", Ok(())),
            ("\\x00fF", Ok(())),
            ("\\x0", Err(Problem::Misspelled)),
            ("\\x0g", Err(Problem::Misspelled)),
            ("00", Err(Problem::Misspelled)),
            ("", Err(Problem::Misspelled)),
        ] {
            assert_eq!(check_hex(text.as_bytes()), expected, "{text}");
        }
        let bytes = |count: usize| format!("\\x{}", "00".repeat(count)).into_bytes();
        assert_eq!(check_hex(&bytes(1_048_576)), Ok(()));
        assert_eq!(check_hex(&bytes(1_048_577)), Err(Problem::TooLong(1_048_576)));
    }

    proptest! {
        #[test]
        fn escaped_text_reads_as_it_was(text in any::<String>()) {
            let mut json = vec![b'"'];
            write_escaped(text.as_bytes(), &mut json);
            json.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
        }
    }
}
