//! Single rows by their keys: for large values that the stream did not send, and to see whether rows are there at all.

use std::{borrow::Cow, ops::ControlFlow};

use super::{CopySession, Sight, of_table};
use crate::{
    change::{Tuple, Value},
    fault::Fault,
    postgres::{
        error::{ServerError, SourceError},
        setup::described,
        sql,
    },
    table::{Kind, Table, TableName},
};

/// Keys of one query.
const KEYS: usize = 200;

impl CopySession {
    /// Passes the rows with these keys to `take`, as they are now, with the columns of `table`: one value for each, null
    /// for a column that was dropped. Rows that are gone are left out. Each key has the texts of the key columns, in
    /// key order.
    pub fn rows_by_key(
        &mut self,
        table: &Table,
        keys: &[Vec<Value<'_>>],
        mut take: impl FnMut(Tuple<'_>),
    ) -> Result<(), Fault> {
        let read = self.try_rows_by_key(table, keys, None, |row| take(Tuple::stored(row)));
        read.map_err(|error| of_table(error, &self.config, &table.name))
    }

    /// The same within the transaction of `sight`, and only rows that the publication has. A key that is no value of the
    /// columns' types, such as a person may have written to the target, is of no row.
    pub fn published_by_key(
        &mut self,
        sight: &Sight,
        table: &Table,
        keys: &[Vec<Value<'_>>],
        mut take: impl FnMut(Tuple<'_>),
    ) -> Result<(), Fault> {
        let filter = sight.filter.as_deref();
        let searched = keys
            .chunks(KEYS)
            .try_for_each(|keys| self.search(table, keys, filter, &mut |row| take(Tuple::stored(row))));
        searched.map_err(|error| of_table(error, &self.config, &table.name))
    }

    /// Halves the keys until those are found that are no values.
    fn search(
        &mut self,
        table: &Table,
        keys: &[Vec<Value<'_>>],
        filter: Option<&str>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        self.connection.query("SAVEPOINT keys")?;
        match self.try_rows_by_key(table, keys, filter, &mut *take) {
            Err(SourceError::Server(error)) if is_no_value(&error.code) => {
                self.connection.query("ROLLBACK TO SAVEPOINT keys")?;
                let (left, right) = keys.split_at(keys.len() / 2);
                if left.is_empty() {
                    return self.check_no_value(table, right, error);
                }
                self.search(table, left, filter, take)?;
                self.search(table, right, filter, take)
            }
            searched => searched,
        }
    }

    /// Fails with the error unless it is of the key itself: a key is read before any row is.
    fn check_no_value(
        &mut self,
        table: &Table,
        key: &[Vec<Value<'_>>],
        error: ServerError,
    ) -> Result<(), SourceError> {
        match self.try_rows_by_key(table, key, Some("false"), |_| {}) {
            Err(SourceError::Server(again)) if again.code == error.code => {
                self.connection.query("ROLLBACK TO SAVEPOINT keys").map(drop)
            }
            Err(other) => Err(other),
            Ok(()) => Err(SourceError::Server(error)),
        }
    }

    fn try_rows_by_key(
        &mut self,
        table: &Table,
        keys: &[Vec<Value<'_>>],
        filter: Option<&str>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        let now = described(&mut self.connection, &self.config, &table.name, self.version)?;
        let column = |number: i32| now.columns.iter().find(|now| now.number == number);
        let expression = |number| column(number).map_or("NULL".to_owned(), |now| sql::identifier(&now.name));
        let columns: Vec<_> = table.columns.iter().map(|column| expression(column.number)).collect();
        let key: Vec<_> = table.key.iter().filter_map(|place| columns.get(*place).cloned()).collect();
        let only =
            if now.facts.files.len() == 1 && !self.is_partitioned(&table.name)? { "ONLY " } else { "" };
        for keys in keys.chunks(KEYS) {
            let keys: Vec<_> = keys.iter().map(|key| tuple(table, key)).collect();
            let filter = filter.map(|filter| format!(" AND ({filter})")).unwrap_or_default();
            let select = format!(
                "SELECT {} FROM {only}{} WHERE ({}) IN ({}){filter}",
                columns.join(", "),
                sql::table(&table.name),
                key.join(", "),
                keys.join(", ")
            );
            self.each(&select, columns.len(), |row| {
                take(row);
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }

    fn is_partitioned(&mut self, name: &TableName) -> Result<bool, SourceError> {
        let name = sql::literal(&sql::table(name));
        let rows = self.connection.query(&format!(
            "SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass({name})"
        ))?;
        Ok(rows.first().is_some_and(|row| row.flag(0)))
    }
}

/// A text that is no value of its type, or out of the type's range.
fn is_no_value(code: &str) -> bool {
    ["22P02", "22003", "22007", "22008", "22021"].contains(&code)
}

/// `('1', 'a')`: literals without a type take that of the column.
fn tuple(table: &Table, key: &[Value<'_>]) -> String {
    let kinds = table.key.iter().filter_map(|place| table.columns.get(*place)).map(|column| column.kind);
    let text = |(value, kind): (&Value<'_>, Kind)| match value {
        Value::Text(text) => sql::literal(&spelled(kind, &String::from_utf8_lossy(text))),
        Value::Null | Value::Unchanged => "NULL".to_owned(),
    };
    format!("({})", key.iter().zip(kinds).map(text).collect::<Vec<_>>().join(", "))
}

/// The canonical spelling of a `bytea` lacks the prefix without which PostgreSQL reads other bytes.
fn spelled(kind: Kind, text: &str) -> Cow<'_, str> {
    if kind == Kind::Bytes && !text.starts_with(r"\x") {
        return format!(r"\x{text}").into();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_bytes_is_spelled_as_postgres_reads_it_and_others_stay_as_they_are() {
        for (kind, text, expected) in [
            (Kind::Bytes, "00ff", r"\x00ff"),
            (Kind::Bytes, r"\x00ff", r"\x00ff"),
            (Kind::Bytes, "", r"\x"),
            (Kind::Text, "00ff", "00ff"),
        ] {
            assert_eq!(spelled(kind, text), expected);
        }
    }
}
