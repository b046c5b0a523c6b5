//! A JSON body as rows: one object after another, or one array of objects (§7.1).

use super::{Json, Object, SyntaxError, syntax::Cursor};

#[derive(Debug)]
pub(crate) struct JsonRow<'a> {
    pub(crate) fields: Object<'a, Json<'a>>,
    /// The text of the row, for the error log.
    pub(crate) text: &'a str,
}

#[derive(Debug)]
pub(crate) struct JsonRows<'a> {
    cursor: Cursor<'a>,
    framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Objects,
    ArrayStart,
    ArrayItem,
    End,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RowsError {
    #[error("the value should be array type with strip_outer_array=true")]
    NotAnArray,
    #[error(
        "the value should be object type with strip_outer_array=false; set strip_outer_array=true to load an array"
    )]
    NotAnObject,
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

impl<'a> JsonRows<'a> {
    pub(crate) fn new(text: &'a str, strip_outer_array: bool) -> Self {
        let framing = if strip_outer_array { Framing::ArrayStart } else { Framing::Objects };
        Self { cursor: Cursor::new(text), framing }
    }

    /// The next row. An error ends the whole load.
    pub(crate) fn next_row(&mut self) -> Result<Option<JsonRow<'a>>, RowsError> {
        match (self.framing, self.cursor.peek()) {
            (Framing::End, None) | (Framing::Objects | Framing::ArrayStart, None) => Ok(None),
            (Framing::End, Some(_)) => Err(self.cursor.error("something follows the array").into()),
            (Framing::Objects, Some(b'{')) => self.row().map(Some),
            (Framing::Objects, Some(_)) => Err(RowsError::NotAnObject),
            (Framing::ArrayStart, Some(b'[')) => {
                self.cursor.take(b'[');
                self.framing = if self.cursor.take(b']') { Framing::End } else { Framing::ArrayItem };
                self.next_row()
            }
            (Framing::ArrayStart, Some(_)) => Err(RowsError::NotAnArray),
            (Framing::ArrayItem, _) => self.item().map(Some),
        }
    }

    fn item(&mut self) -> Result<JsonRow<'a>, RowsError> {
        let row = self.row()?;
        if !self.cursor.take(b',') {
            if !self.cursor.take(b']') {
                return Err(self.cursor.error("the array is not closed").into());
            }
            self.framing = Framing::End;
        }
        Ok(row)
    }

    fn row(&mut self) -> Result<JsonRow<'a>, RowsError> {
        self.cursor.skip_blanks();
        let start = self.cursor.at();
        let fields = self.cursor.object()?;
        Ok(JsonRow { fields, text: self.cursor.text_since(start) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, strip_outer_array: bool) -> Result<usize, RowsError> {
        let mut rows = JsonRows::new(text, strip_outer_array);
        let mut count = 0;
        while rows.next_row()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn s08_framing_is_as_the_header_says() {
        assert_eq!(rows("{\"a\":1}\n{\"a\":2}{\"a\":3}", false), Ok(3));
        assert_eq!(rows("[{\"a\":1}, {\"a\":2}]\n", true), Ok(2));
        assert_eq!(rows("[]", true), Ok(0));
        assert_eq!(rows("[{\"a\":1}]", false), Err(RowsError::NotAnObject));
        assert_eq!(rows("{\"a\":1}", true), Err(RowsError::NotAnArray));
    }

    #[test]
    fn s08_hostile_bodies_are_errors() {
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        let bodies = [
            deep.as_str(),
            "{\"a\":01}",
            "{\"a\":1",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\u0000\"}",
            "{\"a\":\"\n\"}",
            "{\"a\":tru}",
            "{\"a\":-}",
            "{\"a\":1,}",
            "{\"a\":\"\\",
        ];
        for body in bodies {
            assert!(rows(body, false).is_err(), "{}", body.get(..20).unwrap_or(body));
        }
    }
}
