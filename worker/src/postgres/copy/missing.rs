//! Values of single rows, by key: large values that the stream did not send.

use std::ops::ControlFlow;

use super::{CopySession, of_table};
use crate::{
    change::{Tuple, Value},
    fault::Fault,
    postgres::{error::SourceError, setup::described, sql},
    table::{Table, TableName},
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
        let read = self.try_rows_by_key(table, keys, |row| take(Tuple::stored(row)));
        read.map_err(|error| of_table(error, &self.config, &table.name))
    }

    fn try_rows_by_key(
        &mut self,
        table: &Table,
        keys: &[Vec<Value<'_>>],
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
            let keys: Vec<_> = keys.iter().map(|key| tuple(key)).collect();
            let select = format!(
                "SELECT {} FROM {only}{} WHERE ({}) IN ({})",
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

/// `('1', 'a')`: literals without a type take that of the column.
fn tuple(key: &[Value<'_>]) -> String {
    let text = |value: &Value<'_>| match value {
        Value::Text(text) => sql::literal(&String::from_utf8_lossy(text)),
        Value::Null | Value::Unchanged => "NULL".to_owned(),
    };
    format!("({})", key.iter().map(text).collect::<Vec<_>>().join(", "))
}
