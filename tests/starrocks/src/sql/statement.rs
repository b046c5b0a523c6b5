//! Parsed statements.

use std::collections::BTreeMap;

use super::expression::Expression;
use crate::{
    catalog::{ColumnSpec, Model, SchemaChange},
    grants::{Object, Privilege},
};

#[derive(Debug, Clone)]
pub(super) enum Statement {
    Select(Select),
    Set(Vec<Assignment>),
    Use(String),
    /// Accepted and without effect: BEGIN, COMMIT, ROLLBACK and similar statements.
    Nothing,
    CreateDatabase {
        name: String,
        if_not_exists: bool,
    },
    DropDatabase {
        name: String,
        if_exists: bool,
    },
    CreateTable(Box<CreateTable>),
    CreateTableLike {
        table: TableName,
        model: TableName,
        if_not_exists: bool,
    },
    DropTable {
        table: TableName,
        if_exists: bool,
    },
    TruncateTable(TableName),
    AlterTable {
        table: TableName,
        clauses: Vec<Clause>,
    },
    /// CANCEL ALTER TABLE COLUMN FROM.
    CancelAlter(TableName),
    Grant(Grant),
    CreateUser {
        name: String,
        password: String,
        if_not_exists: bool,
    },
    DropUser {
        name: String,
        if_exists: bool,
    },
    /// ADMIN SHOW FRONTEND CONFIG.
    ShowConfig(Narrow),
    Describe(TableName),
    ShowColumns {
        table: TableName,
        is_full: bool,
        narrow: Narrow,
    },
    ShowCreateTable(TableName),
    ShowCreateDatabase(String),
    ShowDatabases(Narrow),
    ShowTables {
        database: Option<String>,
        is_full: bool,
        narrow: Narrow,
    },
    ShowTableStatus {
        database: Option<String>,
        narrow: Narrow,
    },
    ShowVariables(Narrow),
    ShowProcesslist,
    ShowIndex(TableName),
    ShowPartitions(TableName),
    ShowFunctions {
        database: Option<String>,
        is_full: bool,
    },
    ShowGrants,
    ShowProc(String),
    ShowAlterColumn {
        database: Option<String>,
        tail: Tail,
    },
    ShowBackends,
    ShowFrontends,
    /// SHOW with the same answer for all users, or with an empty answer.
    ShowFixed(&'static Listing),
    /// KILL: ends a connection, or only the statement that it runs.
    Kill {
        connection: u32,
        is_query: bool,
    },
    Delete {
        table: TableName,
        filter: Option<Expression>,
    },
    Update {
        table: TableName,
        assignments: Vec<(String, Expression)>,
        filter: Option<Expression>,
    },
}

/// A constant table of rows.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) fields: &'static [&'static str],
    pub(super) rows: &'static [&'static [&'static str]],
}

/// The condition of SHOW: `LIKE` compares the first column, `WHERE` may use all columns.
#[derive(Debug, Clone)]
pub(super) enum Narrow {
    Everything,
    Like(String),
    Where(Expression),
}

/// GRANT and REVOKE.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) is_revoke: bool,
    pub(super) privileges: Vec<Privilege>,
    pub(super) object: Object,
    pub(super) user: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    pub(super) database: Option<String>,
    pub(super) table: String,
}

#[derive(Debug, Clone)]
pub(super) struct Select {
    pub(super) items: Vec<SelectItem>,
    pub(super) from: Option<TableName>,
    pub(super) tail: Tail,
}

#[derive(Debug, Clone)]
pub(super) enum SelectItem {
    Everything,
    Expression { expression: Expression, alias: Option<String> },
}

/// WHERE, GROUP BY, ORDER BY and LIMIT.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    pub(super) filter: Option<Expression>,
    pub(super) group: Vec<Expression>,
    pub(super) order: Vec<(Expression, Direction)>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

#[derive(Debug, Clone)]
pub(super) struct Assignment {
    /// The name, with its `@` when it is a user variable.
    pub(super) name: String,
    pub(super) is_global: bool,
    pub(super) value: Expression,
}

#[derive(Debug, Clone)]
pub(super) struct CreateTable {
    pub(super) table: TableName,
    pub(super) if_not_exists: bool,
    pub(super) columns: Vec<ColumnSpec>,
    pub(super) keys: Option<(Model, Vec<String>)>,
    pub(super) hash_columns: Option<Vec<String>>,
    pub(super) buckets: Option<u32>,
    pub(super) sort_columns: Vec<String>,
    pub(super) comment: String,
    pub(super) properties: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(super) enum Clause {
    Schema(SchemaChange),
    RenameColumn { from: String, to: String },
    RenameTable(String),
    SwapWith(String),
    SetComment(String),
    SetProperties(BTreeMap<String, String>),
}
