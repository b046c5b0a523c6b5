//! Turns a row of `COPY … TO STDOUT` in text format into a row as the replication stream sends it.
//!
//! Pure. Both are the texts of the types' output functions; only the frame around them differs.

use crate::postgres::error::SourceError;

/// Appends the row to `out`; `line` has `columns` values and a line feed at its end.
pub(super) fn convert(line: &[u8], columns: usize, out: &mut Vec<u8>) -> Result<(), SourceError> {
    let malformed = || SourceError::protocol("a row of a copy is malformed");
    let line = line.strip_suffix(b"\n").ok_or_else(malformed)?;
    if columns == 0 {
        return if line.is_empty() { Ok(()) } else { Err(malformed()) };
    }
    let mut rest = Some(line);
    for _ in 0..columns {
        let (value, next) = split(rest.ok_or_else(malformed)?);
        write(value, out).ok_or_else(malformed)?;
        rest = next;
    }
    if rest.is_none() { Ok(()) } else { Err(malformed()) }
}

/// The first value, and what follows its tab. A tab within a value is escaped.
fn split(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'\t', line) {
        Some(tab) => (&line[..tab], Some(&line[tab + 1..])),
        None => (line, None),
    }
}

fn write(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if value == br"\N" {
        out.push(b'n');
        return Some(());
    }
    out.push(b't');
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match memchr::memchr(b'\\', value) {
        None => out.extend_from_slice(value),
        Some(first) => unescape(value, first, out)?,
    }
    let length = u32::try_from(out.len() - start - 4).ok()?;
    out.get_mut(start..start + 4)?.copy_from_slice(&length.to_be_bytes());
    Some(())
}

/// Appends `value`, whose first backslash is at `escape`.
fn unescape(value: &[u8], mut escape: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = value;
    loop {
        let (plain, escaped) = rest.split_at_checked(escape)?;
        out.extend_from_slice(plain);
        out.push(match escaped.get(1)? {
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'\\' => b'\\',
            _ => return None,
        });
        rest = escaped.get(2..)?;
        match memchr::memchr(b'\\', rest) {
            Some(next) => escape = next,
            None => {
                out.extend_from_slice(rest);
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::change::{Tuple, Value};

    fn values(line: &[u8], columns: usize) -> Result<Vec<Option<Vec<u8>>>, SourceError> {
        let mut row = Vec::new();
        convert(line, columns, &mut row)?;
        let values = Tuple::split(&row, columns).unwrap().0.values();
        let value = |value| match value {
            Value::Text(text) => Some(text.to_vec()),
            _ => None,
        };
        Ok(values.map(value).collect())
    }

    fn text(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn a_row_has_texts_nulls_and_escapes() {
        let read = values(b"7\t\\N\t\ta\\tb\\nc\\\\N\t\\\\N\n", 5).unwrap();
        assert_eq!(read, [text("7"), None, text(""), text("a\tb\nc\\N"), text("\\N")]);
    }

    #[test]
    fn a_row_of_one_column_may_be_empty() {
        assert_eq!(values(b"\n", 1).unwrap(), [text("")]);
        assert_eq!(values(b"\\N\n", 1).unwrap(), [None]);
    }

    #[test]
    fn a_row_of_another_number_of_columns_or_with_a_cut_escape_is_an_error() {
        for (line, columns) in [
            (&b"a\tb\n"[..], 1),
            (b"a\n", 2),
            (b"a", 1),
            (b"a\\\n", 1),
            (b"\\x41\n", 1),
            (b"", 1),
            (b"x\n", 0),
        ] {
            assert!(values(line, columns).is_err(), "{line:?}");
        }
    }

    /// As the server escapes.
    fn escaped(text: &str) -> String {
        let mut line = String::new();
        for character in text.chars() {
            match character {
                '\u{8}' => line.push_str("\\b"),
                '\t' => line.push_str("\\t"),
                '\n' => line.push_str("\\n"),
                '\u{b}' => line.push_str("\\v"),
                '\u{c}' => line.push_str("\\f"),
                '\r' => line.push_str("\\r"),
                '\\' => line.push_str("\\\\"),
                other => line.push(other),
            }
        }
        line
    }

    proptest! {
        #[test]
        fn any_text_comes_back(texts in proptest::collection::vec(proptest::option::of(".{0,12}|[\\\\\t\n\r]{0,5}"), 1..6)) {
            let cells: Vec<_> = texts.iter().map(|text| text.as_deref().map_or("\\N".to_owned(), escaped)).collect();
            let line = format!("{}\n", cells.join("\t"));
            let expected: Vec<_> = texts.iter().map(|text| text.as_ref().map(|text| text.clone().into_bytes())).collect();
            prop_assert_eq!(values(line.as_bytes(), texts.len()).unwrap(), expected);
        }

        #[test]
        fn any_bytes_never_panic(line in proptest::collection::vec(any::<u8>(), 0..60), columns in 0_usize..5) {
            let _ = values(&line, columns);
        }
    }
}
