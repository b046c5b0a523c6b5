//! A CSV body as rows of fields: the plain parser, and the one that handles quotes (§7.2).

use memchr::memmem;

/// How a body is split into rows and fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CsvFormat {
    pub(crate) column_separator: Vec<u8>,
    pub(crate) row_delimiter: Vec<u8>,
    /// Either of the two selects the quoting parser.
    pub(crate) enclose: Option<u8>,
    pub(crate) escape: Option<u8>,
    pub(crate) trim_space: bool,
    pub(crate) skip_header: u64,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self {
            column_separator: b"\t".to_vec(),
            row_delimiter: b"\n".to_vec(),
            enclose: None,
            escape: None,
            trim_space: false,
            skip_header: 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct CsvRow<'a> {
    pub(crate) fields: Vec<Vec<u8>>,
    /// The text of the row, for the error log.
    pub(crate) text: &'a [u8],
    /// Whether a delimiter ends the row; the last row may lack it.
    pub(crate) is_ended: bool,
}

#[derive(Debug)]
pub(crate) struct CsvRows<'a> {
    format: &'a CsvFormat,
    rest: &'a [u8],
}

impl<'a> CsvRows<'a> {
    pub(crate) fn new(body: &'a [u8], format: &'a CsvFormat) -> Self {
        let mut rows = Self { format, rest: body };
        for _ in 0..format.skip_header {
            if rows.rest.is_empty() {
                break;
            }
            rows.plain_line();
        }
        rows
    }

    pub(crate) fn quotes(&self) -> bool {
        self.format.enclose.is_some() || self.format.escape.is_some()
    }

    /// The next row. Blank lines are skipped, so a row of one empty string is lost.
    pub(crate) fn next_row(&mut self) -> Option<CsvRow<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let row = if self.quotes() { self.quoted_row() } else { self.plain_row() };
            if !row.text.is_empty() {
                return Some(row);
            }
        }
    }

    fn plain_line(&mut self) -> (&'a [u8], bool) {
        let delimiter = &self.format.row_delimiter;
        match memmem::find(self.rest, delimiter) {
            Some(end) => {
                let (line, rest) = self.rest.split_at(end);
                self.rest = rest.get(delimiter.len()..).unwrap_or_default();
                (line, true)
            }
            None => (std::mem::take(&mut self.rest), false),
        }
    }

    fn plain_row(&mut self) -> CsvRow<'a> {
        let (text, is_ended) = self.plain_line();
        let separator = &self.format.column_separator;
        let mut fields = Vec::new();
        let mut start = 0;
        for end in memmem::find_iter(text, separator) {
            fields.push(text.get(start..end).unwrap_or_default());
            start = end + separator.len();
        }
        fields.push(text.get(start..).unwrap_or_default());
        let trim = |field: &[u8]| if self.format.trim_space { trim(field).to_vec() } else { field.to_vec() };
        CsvRow { fields: fields.into_iter().map(trim).collect(), text, is_ended }
    }

    fn quoted_row(&mut self) -> CsvRow<'a> {
        let start = self.rest;
        let mut fields = Vec::new();
        loop {
            let (field, end) = Field::new(self.format).read(self.rest);
            let taken = start.len() - self.rest.len();
            fields.push(field);
            let (length, is_last) = match end {
                FieldEnd::Separator(length) => (length, false),
                FieldEnd::Row(length) | FieldEnd::Body(length) => (length, true),
            };
            let content = length - end.delimiter(self.format);
            self.rest = self.rest.get(length..).unwrap_or_default();
            if is_last {
                let text = start.get(..taken + content).unwrap_or_default();
                return CsvRow { fields, text, is_ended: matches!(end, FieldEnd::Row(_)) };
            }
        }
    }
}

/// What ends a field, with the offset after it.
#[derive(Debug, Clone, Copy)]
enum FieldEnd {
    Separator(usize),
    Row(usize),
    Body(usize),
}

impl FieldEnd {
    fn delimiter(self, format: &CsvFormat) -> usize {
        match self {
            Self::Separator(_) => format.column_separator.len(),
            Self::Row(_) => format.row_delimiter.len(),
            Self::Body(_) => 0,
        }
    }
}

/// One field in the quoting parser.
struct Field<'f> {
    format: &'f CsvFormat,
    bytes: Vec<u8>,
    is_inside: bool,
    at: usize,
}

impl<'f> Field<'f> {
    fn new(format: &'f CsvFormat) -> Self {
        Self { format, bytes: Vec::new(), is_inside: false, at: 0 }
    }

    fn read(mut self, text: &[u8]) -> (Vec<u8>, FieldEnd) {
        if self.format.trim_space {
            self.at = text.len() - trim_start(text).len();
        }
        if text.get(self.at).copied() == self.format.enclose && self.format.enclose.is_some() {
            self.is_inside = true;
            self.at += 1;
        }
        let end = self.scan(text);
        let bytes = if self.format.trim_space { trim(&self.bytes).to_vec() } else { self.bytes };
        (bytes, end)
    }

    fn scan(&mut self, text: &[u8]) -> FieldEnd {
        while let Some(rest) = text.get(self.at..).filter(|rest| !rest.is_empty()) {
            if !self.is_inside {
                if rest.starts_with(&self.format.column_separator) {
                    return FieldEnd::Separator(self.at + self.format.column_separator.len());
                }
                if rest.starts_with(&self.format.row_delimiter) {
                    return FieldEnd::Row(self.at + self.format.row_delimiter.len());
                }
            }
            self.take(rest);
        }
        FieldEnd::Body(self.at)
    }

    /// Takes one byte, or two when the first one escapes the second.
    fn take(&mut self, rest: &[u8]) {
        let (first, second) = (rest.first().copied(), rest.get(1).copied());
        let is_quote = first == self.format.enclose && first.is_some();
        let is_escape = first == self.format.escape && first.is_some();
        self.at += 1;
        if is_quote && self.is_inside && second != first {
            self.is_inside = false;
            return;
        }
        // A doubled quote, an escape, and a quote inside an unquoted field: the next byte is taken literally.
        if is_quote || is_escape {
            self.bytes.extend(second);
            self.at += usize::from(second.is_some());
        } else {
            self.bytes.extend(first);
        }
    }
}

/// Removes only blanks, because a newline may be the row delimiter.
fn trim_start(field: &[u8]) -> &[u8] {
    let blanks = field.iter().take_while(|byte| **byte == b' ').count();
    field.get(blanks..).unwrap_or_default()
}

fn trim(field: &[u8]) -> &[u8] {
    let field = trim_start(field);
    let blanks = field.iter().rev().take_while(|byte| **byte == b' ').count();
    field.get(..field.len() - blanks).unwrap_or_default()
}

/// Parses `\x01`, `0x0102`, `\t`, `\n` or literal bytes (§4).
pub(crate) fn delimiter(written: &str) -> Result<Vec<u8>, String> {
    let hex = written
        .strip_prefix("\\x")
        .or_else(|| written.strip_prefix("0x"))
        .or_else(|| written.strip_prefix("\\X"));
    let bytes = match (written, hex) {
        ("\\t", _) => b"\t".to_vec(),
        ("\\n", _) => b"\n".to_vec(),
        (_, Some(digits)) => {
            let digits = digits.replace("\\x", "");
            let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
                [_, _] => std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()),
                _ => None,
            });
            pairs
                .collect::<Option<Vec<u8>>>()
                .ok_or_else(|| format!("Invalid delimiter '{written}': invalid hex"))?
        }
        _ => written.as_bytes().to_vec(),
    };
    match bytes.len() {
        1..=50 => Ok(bytes),
        0 => Err("Delimiter cannot be empty".to_owned()),
        length => Err(format!("the maximum length of a delimiter is 50 bytes, and this is {length}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(format: &CsvFormat, body: &str) -> Vec<String> {
        let mut rows = CsvRows::new(body.as_bytes(), format);
        std::iter::from_fn(|| rows.next_row())
            .map(|row| {
                let fields = row.fields.iter().map(|field| String::from_utf8_lossy(field).into_owned());
                fields.collect::<Vec<_>>().join("|")
            })
            .collect()
    }

    fn commas() -> CsvFormat {
        CsvFormat { column_separator: b",".to_vec(), ..CsvFormat::default() }
    }

    #[test]
    fn s09_the_plain_parser_only_splits() {
        assert_eq!(rows(&CsvFormat::default(), "1\ta\n\n2\t\"b\n3\t\\N"), ["1|a", "2|\"b", "3|\\N"]);
        assert_eq!(rows(&commas(), ",\n"), ["|"]);
        let wide =
            CsvFormat { column_separator: b"::".to_vec(), row_delimiter: b"\x02\x03".to_vec(), ..commas() };
        assert_eq!(rows(&wide, "1::a:\x02\x032::\n"), ["1|a:", "2|\n"]);
        assert_eq!(
            rows(&CsvFormat { skip_header: 1, trim_space: true, ..commas() }, "id,v\n 1 , a \n"),
            ["1|a"]
        );
    }

    #[test]
    fn s09_delimiters_are_written_in_several_ways() {
        let cases: [(&str, &[u8]); 7] = [
            ("\\x01", &[1]),
            ("0x01", &[1]),
            ("\\x01\\x02", &[1, 2]),
            ("0x0102", &[1, 2]),
            ("\\t", b"\t"),
            ("\\n", b"\n"),
            ("||", b"||"),
        ];
        for (written, bytes) in cases {
            assert_eq!(delimiter(written).as_deref(), Ok(bytes), "{written}");
        }
        for written in ["", "\\x1", "0xzz", &"x".repeat(51)] {
            assert!(delimiter(written).is_err(), "{written}");
        }
    }

    #[test]
    fn s27_quotes_hold_delimiters_newlines_and_doubled_quotes() {
        let quoting = CsvFormat { enclose: Some(b'"'), ..commas() };
        assert_eq!(rows(&quoting, "1,\"a,b\nc\"\"d\"\n2,\"\"\n\n3,x"), ["1|a,b\nc\"d", "2|", "3|x"]);
        assert_eq!(
            rows(&quoting, "1,a\"\nb\n"),
            ["1|a\nb"],
            "a quote in a plain field makes the next byte plain"
        );
        assert_eq!(rows(&quoting, "1,\"never closed\n2,x\n"), ["1|never closed\n2,x\n"]);
    }

    #[test]
    fn s27_blanks_are_trimmed_and_newlines_are_not() {
        let trimming = CsvFormat { enclose: Some(b'"'), trim_space: true, ..commas() };
        assert_eq!(rows(&trimming, "1 , a \n 2,\n3, \"b\"\n"), ["1|a", "2|", "3|b"]);
        let endless = CsvFormat { skip_header: u64::MAX, ..commas() };
        assert!(rows(&endless, "1\n2\n").is_empty());
    }

    #[test]
    fn s27_an_escape_breaks_the_null_marker() {
        let escaping = CsvFormat { escape: Some(b'\\'), ..commas() };
        assert_eq!(rows(&escaping, "1,\\N\n2,a\\,b\n"), ["1|N", "2|a,b"]);
    }
}
