//! Reads the answers of the query protocol: rows of optional texts, and errors.

use crate::postgres::{
    cursor::Cursor,
    error::{ServerError, SourceError},
};

/// One row of an answer: its values as text, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row(Vec<Option<String>>);

impl Row {
    /// The value of a column; empty when it is NULL.
    pub(crate) fn text(&self, column: usize) -> &str {
        self.value(column).unwrap_or_default()
    }

    pub(crate) fn value(&self, column: usize) -> Option<&str> {
        self.0.get(column)?.as_deref()
    }

    pub(crate) fn flag(&self, column: usize) -> bool {
        self.value(column) == Some("t")
    }

    #[cfg(test)]
    pub(super) fn of(values: &[&str]) -> Self {
        Self(values.iter().map(|value| Some((*value).to_owned())).collect())
    }

    pub(in crate::postgres) fn parse<T: std::str::FromStr>(&self, column: usize) -> Result<T, SourceError> {
        let wrong = |_| SourceError::protocol(format!("column {column} of an answer is not of its type"));
        self.text(column).parse().map_err(wrong)
    }
}

pub(super) fn row(body: &[u8]) -> Result<Row, SourceError> {
    read_row(body).ok_or_else(|| SourceError::protocol("a row of an answer is malformed"))
}

fn read_row(body: &[u8]) -> Option<Row> {
    let mut cursor = Cursor(body);
    let count = cursor.u16()?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(read_value(&mut cursor)?);
    }
    cursor.is_empty().then_some(Row(values))
}

/// Reads one value; a length of -1 stands for NULL.
fn read_value(cursor: &mut Cursor<'_>) -> Option<Option<String>> {
    let length = cursor.i32()?;
    if length == -1 {
        return Some(None);
    }
    let text = cursor.take(usize::try_from(length).ok()?)?;
    String::from_utf8(text.to_vec()).ok().map(Some)
}

/// Reads an ErrorResponse or a NoticeResponse, without its detail, which may contain row values.
pub(in crate::postgres) fn server_error(body: &[u8]) -> Result<ServerError, SourceError> {
    read_error(body).ok_or_else(|| SourceError::protocol("an error message is malformed"))
}

fn read_error(body: &[u8]) -> Option<ServerError> {
    let mut cursor = Cursor(body);
    let mut error = ServerError::default();
    loop {
        let field = cursor.u8()?;
        if field == 0 {
            return Some(error);
        }
        // Before the session has an encoding, the server may use any.
        let text = String::from_utf8_lossy(cursor.text()?).into_owned();
        match field {
            b'C' => error.code = text,
            b'M' => error.message = text,
            b'R' => error.routine = text,
            // In every language the position comes last.
            b'W' => error.lsn = text.split_whitespace().rev().find_map(|word| word.parse().ok()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_holds_texts_and_nulls() {
        let row = row(b"\0\x02\xFF\xFF\xFF\xFF\0\0\0\x01t").unwrap();
        assert_eq!((row.value(0), row.value(1), row.flag(1), row.value(2)), (None, Some("t"), true, None));
    }

    #[test]
    fn an_error_tells_code_and_message_only() {
        let error = server_error(b"SFATAL\0C28P01\0Mno\0Dsecret\0\0").unwrap();
        assert_eq!((error.to_string().as_str(), error.lsn), ("no (SQLSTATE 28P01)", None));
    }

    #[test]
    fn an_error_of_a_decoder_tells_its_position() {
        let context =
            "slot \"s\", output plugin \"pgoutput\", in the change callback, associated LSN 0/16B3748";
        let error = server_error(format!("C22021\0W{context}\0\0").as_bytes()).unwrap();
        assert_eq!(error.lsn, Some(crate::lsn::Lsn(0x16B_3748)));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (row(&body), server_error(&body));
        }
    }
}
