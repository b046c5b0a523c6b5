//! A row in the form in which pgoutput sends it, and its values.

/// A checked row: per column a byte for the kind of its value, and for text a length and the bytes.
///
/// The form is that of pgoutput, so a row is stored as it was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuple<'a>(&'a [u8]);

/// One column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    /// A large value that the change did not modify, and that the source therefore does not send.
    Unchanged,
    Text(&'a [u8]),
}

impl<'a> Tuple<'a> {
    /// Reads a row of `columns` columns from the front of `bytes`; returns it and the remaining bytes.
    pub fn split(bytes: &'a [u8], columns: usize) -> Result<(Self, &'a [u8]), MalformedTuple> {
        let mut rest = bytes;
        for _ in 0..columns {
            rest = split_value(rest).ok_or(MalformedTuple)?.1;
        }
        Ok((Self(&bytes[..bytes.len() - rest.len()]), rest))
    }

    /// A row from bytes that were checked before they were stored.
    pub(crate) fn stored(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The values, in the table's column order.
    pub fn values(self) -> TupleValues<'a> {
        TupleValues(self.0)
    }

    /// The row in the form it has in a block.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The values of a [`Tuple`].
#[derive(Debug, Clone)]
pub struct TupleValues<'a>(&'a [u8]);

impl<'a> Iterator for TupleValues<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (value, rest) = split_value(self.0)?;
        self.0 = rest;
        Some(value)
    }
}

fn split_value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    match kind {
        b'n' => Some((Value::Null, rest)),
        b'u' => Some((Value::Unchanged, rest)),
        b't' => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            Some((Value::Text(text), rest))
        }
        _ => None,
    }
}

/// Appends one value in the form that [`Tuple`] reads.
pub fn write_value(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Unchanged => out.push(b'u'),
        Value::Text(text) => {
            out.push(b't');
            // A value comes in a frame whose length has 31 bits, so its length fits.
            out.extend_from_slice(&(text.len() as u32).to_be_bytes());
            out.extend_from_slice(text);
        }
    }
}

/// The bytes are not a row of the given number of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row is shorter than its columns, or holds a kind of value that was not asked for")]
pub struct MalformedTuple;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Value<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| write_value(*value, &mut bytes));
        bytes
    }

    #[test]
    fn a_row_reads_as_it_was_written() {
        let values = [Value::Text(b"7"), Value::Null, Value::Unchanged, Value::Text(b"")];
        let bytes = row(&values);
        let (tuple, rest) = Tuple::split(&bytes, 4).unwrap();
        assert_eq!(tuple.values().collect::<Vec<_>>(), values);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_short_row_is_an_error_and_reserves_nothing() {
        let long = [b't', 0xFF, 0xFF, 0xFF, 0xFF, b'x'];
        for bytes in [&long[..], b"", b"t", b"b\0\0\0\0"] {
            assert_eq!(Tuple::split(bytes, 1), Err(MalformedTuple));
        }
    }
}
