//! The stored state: databases, tables, columns, and their rows.

mod alter;
mod column;
mod job;
mod sql_type;
mod store;
mod table;

use std::collections::BTreeMap;

use crate::Profile;

pub(crate) use alter::{ColumnSpec, Place, SchemaChange};
pub(crate) use column::{Column, DefaultValue};
pub(crate) use job::{AlterJob, JobState, Surroundings};
pub(crate) use sql_type::{MAX_VARCHAR, STRING_LENGTH, SqlType, TypeNames};
pub(crate) use store::{KeyTooLong, Row, encode_key};
pub(crate) use table::{Change, Model, Table, TableSpec};

/// All databases, under one lock, so that a load becomes visible in one step.
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

impl Database {
    /// The running schema change of a table; there is at most one.
    pub(crate) fn open_job(&mut self, table_id: u64) -> Option<&mut AlterJob> {
        self.alter_jobs.iter_mut().find(|job| job.table_id == table_id && job.is_open())
    }

    fn table_by_id(&mut self, id: u64) -> Option<&mut Table> {
        self.tables.values_mut().find(|table| table.id == id)
    }

    /// Advances the open jobs; `around` gives the surroundings of each.
    pub(crate) fn advance_jobs(
        &mut self,
        profile: Profile,
        mut around: impl FnMut(&mut AlterJob) -> Option<Surroundings>,
    ) {
        let mut jobs = std::mem::take(&mut self.alter_jobs);
        for job in jobs.iter_mut().filter(|job| job.is_open()) {
            let Some(now) = around(job) else { continue };
            let Some(table) = self.table_by_id(job.table_id) else {
                job.cancel("Table does not exist", now.now);
                continue;
            };
            if !job.advance(now) {
                continue;
            }
            let changed = job
                .changes
                .iter()
                .try_for_each(|change| table.change_schema(change, profile, now.now).map(drop));
            match changed {
                Ok(()) => {
                    table.schema_version = job.schema_version;
                    job.finish(now.now);
                }
                Err(error) => job.cancel(&error.message, now.now),
            }
        }
        self.alter_jobs = jobs;
    }
}

impl Catalog {
    /// Ids of databases, tables and jobs come from one counter, as in the FE.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.max(10_000) + 2;
        self.last_id
    }

    /// A copy of the databases, tables and columns, without rows.
    pub(crate) fn without_rows(&self) -> Self {
        let database = |content: &Database| Database {
            id: content.id,
            tables: content.tables.iter().map(|(name, table)| (name.clone(), table.without_rows())).collect(),
            alter_jobs: content.alter_jobs.clone(),
        };
        let databases = self.databases.iter().map(|(name, content)| (name.clone(), database(content)));
        Self { databases: databases.collect(), last_id: self.last_id }
    }

    pub(crate) fn create_database(&mut self, name: &str) {
        let id = self.next_id();
        self.databases.insert(name.to_owned(), Database { id, ..Database::default() });
    }

    pub(crate) fn table(&self, database: &str, table: &str) -> Option<&Table> {
        self.databases.get(database)?.tables.get(table)
    }

    /// Finds a table by id: a load goes to the table that it was planned for, even if that was renamed since.
    pub(crate) fn table_by_id(&mut self, database: &str, id: u64) -> Option<&mut Table> {
        self.databases.get_mut(database)?.table_by_id(id)
    }
}
