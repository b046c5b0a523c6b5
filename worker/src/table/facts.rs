//! Facts from the catalogue about a table besides its columns, and the part of them that is recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Column, Fill, Representation, Table};

/// Facts from the catalogue besides the columns that are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The filenode of the table, or of each leaf partition, by its oid. A different one means that its rows were
    /// rewritten or removed.
    pub files: BTreeMap<u32, u32>,
    /// Columns that exist and are not sent, by number.
    pub left_out: BTreeMap<i32, String>,
    /// The publication has a column list for the table, which may contain all columns.
    pub listed: bool,
}

impl Facts {
    /// Whether PostgreSQL may refuse updates of the table under REPLICA IDENTITY FULL: from version 15 on because of a
    /// column list, from 18 on because of a generated column that is not published.
    pub fn refuses_full(&self) -> bool {
        self.listed || !self.left_out.is_empty()
    }
}

/// The state of the catalogue, as it is recorded in the table's schema history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Look {
    pub last_number: i32,
    pub files: BTreeMap<u32, u32>,
    pub left_out: BTreeMap<i32, String>,
    /// The representations with which the target's rows were written, by column number.
    pub written: BTreeMap<i32, Representation>,
}

impl Look {
    pub fn at(table: &Table) -> Self {
        let written = table.columns.iter().map(|column| (column.number, column.representation.clone()));
        Self {
            last_number: table.last_number,
            files: table.facts.files.clone(),
            left_out: table.facts.left_out.clone(),
            written: written.collect(),
        }
    }

    /// The value of earlier rows in a column that exists now and that the target does not have yet.
    pub fn fill_of(&self, column: &Column, table: &Table) -> Fill {
        // Column numbers only grow: a column with a lower number existed before, and was not sent.
        if column.number <= self.last_number {
            return Fill::Unknown;
        }
        match &column.fill {
            Fill::Value(value) => Fill::Value(value.clone()),
            // No row was rewritten, so earlier rows have NULL there, whatever default was set later.
            _ if self.has_files_of(&table.facts) => Fill::Null,
            fill => fill.clone(),
        }
    }

    /// Compares the partitions that exist at both times; others are ignored.
    fn has_files_of(&self, now: &Facts) -> bool {
        let mut common =
            self.files.iter().filter_map(|(oid, file)| Some((file, now.files.get(oid)?))).peekable();
        common.peek().is_some() && common.all(|(then, now)| then == now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Kind, TableId, TableName};

    fn files(file: u32) -> BTreeMap<u32, u32> {
        BTreeMap::from([(7, file)])
    }

    /// In a column of this number, of a table whose rows were in the file 70 when it had two.
    fn fill(number: i32, fill: Fill, file: u32) -> Fill {
        let look = Look { last_number: 2, files: files(70), ..Look::default() };
        let column = Column { number, fill, ..Column::new("c", Kind::Text, "text") };
        let table = Table {
            id: TableId(0),
            name: TableName::parse("t").unwrap(),
            target: "t".to_owned(),
            columns: vec![column.clone()],
            key: vec![0],
            last_number: 3,
            facts: Facts { files: files(file), ..Facts::default() },
        };
        look.fill_of(&column, &table)
    }

    #[test]
    fn earlier_rows_have_nothing_where_none_was_written_anew() {
        assert_eq!(fill(3, Fill::Null, 70), Fill::Null);
        assert_eq!(fill(3, Fill::Unknown, 70), Fill::Null);
        assert_eq!(fill(3, Fill::Unknown, 71), Fill::Unknown);
        assert_eq!(fill(3, Fill::Value("1".to_owned()), 71), Fill::Value("1".to_owned()));
    }

    #[test]
    fn a_column_that_was_there_and_was_not_sent_is_not_new() {
        assert_eq!(fill(2, Fill::Null, 70), Fill::Unknown);
    }

    #[test]
    fn a_look_is_read_as_it_was_written_and_by_other_versions() {
        let look = Look { last_number: 2, files: files(70), ..Look::default() };
        let text = serde_json::to_string(&look).unwrap();
        assert_eq!(serde_json::from_str::<Look>(&text).unwrap(), look);
        assert_eq!(serde_json::from_str::<Look>("{\"last_number\":2,\"other\":1}").unwrap().last_number, 2);
    }
}
