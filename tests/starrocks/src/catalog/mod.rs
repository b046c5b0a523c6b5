//! What exists: databases, tables, columns, and the rows in them.

mod alter;
mod column;
mod sql_type;
mod store;
mod table;

use std::collections::BTreeMap;

pub(crate) use alter::{AlterJob, ColumnSpec, Place};
pub(crate) use column::{Column, DefaultValue};
pub(crate) use sql_type::{MAX_VARCHAR, STRING_LENGTH, SqlType, TypeNames};
pub(crate) use store::{KeyTooLong, Row, encode_key};
pub(crate) use table::{Change, Model, Table, TableSpec};

/// Every database; one lock guards it all, so a load becomes visible in one step.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) databases: BTreeMap<String, Database>,
    last_id: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) id: u64,
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) alter_jobs: Vec<AlterJob>,
}

impl Catalog {
    /// Ids of databases, tables and jobs come from one counter, as in the FE.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.max(10_000) + 2;
        self.last_id
    }

    pub(crate) fn create_database(&mut self, name: &str) {
        let id = self.next_id();
        self.databases.insert(name.to_owned(), Database { id, ..Database::default() });
    }

    pub(crate) fn table(&self, database: &str, table: &str) -> Option<&Table> {
        self.databases.get(database)?.tables.get(table)
    }

    /// Finds a table by id: a load goes to the table it was planned for, whatever that is called now.
    pub(crate) fn table_by_id(&mut self, database: &str, id: u64) -> Option<&mut Table> {
        self.databases.get_mut(database)?.tables.values_mut().find(|table| table.id == id)
    }
}
