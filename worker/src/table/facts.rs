//! What the catalogue tells of a table beside its columns, and what is kept of it for the next look.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Column, Fill, Representation, Table};

/// What the catalogue tells beside the columns that are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The storage of the table, or of each leaf partition, by its oid. Another one means that its rows were written
    /// anew, or that they are gone.
    pub files: BTreeMap<u32, u32>,
    /// Columns that are there and not sent, by number.
    pub left_out: BTreeMap<i32, String>,
    /// The publication has a list of its columns, though all may be on it.
    pub listed: bool,
}

impl Facts {
    /// PostgreSQL may refuse its updates under REPLICA IDENTITY FULL: from 15 on for a list of columns, from 18 on for
    /// a generated column that is not published.
    pub fn refuses_full(&self) -> bool {
        self.listed || !self.left_out.is_empty()
    }
}

/// A look at the catalogue, as it is kept beside the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Look {
    pub last_number: i32,
    pub files: BTreeMap<u32, u32>,
    pub left_out: BTreeMap<i32, String>,
    /// What the rows of the target were written with, by the numbers of the columns.
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

    /// What rows hold in a column that is there now, and that the target did not get before.
    pub fn fill_of(&self, column: &Column, table: &Table) -> Fill {
        // Numbers only grow: a column with a lower one was there before, and was not sent.
        if column.number <= self.last_number {
            return Fill::Unknown;
        }
        match &column.fill {
            Fill::Value(value) => Fill::Value(value.clone()),
            // No row was written anew, so earlier ones have nothing there, whatever default was set later.
            _ if self.has_files_of(&table.facts) => Fill::Null,
            fill => fill.clone(),
        }
    }

    /// A partition that came or went since says nothing.
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
