//! The grammar of SHOW.

use super::{
    SqlError, listings,
    parser::Parser,
    statement::{Narrow, Statement, TableName},
};

impl Parser {
    pub(super) fn show(&mut self) -> Result<Statement, SqlError> {
        self.word("SHOW")?;
        let is_full = self.take_word("FULL");
        for scope in ["GLOBAL", "SESSION", "VERBOSE", "STORAGE", "ALL"] {
            self.take_word(scope);
        }
        let Some(what) = self.next().map(|token| token.print().to_uppercase()) else {
            return Err(self.unexpected());
        };
        match what.as_str() {
            "DATABASES" | "SCHEMAS" => {
                self.in_database()?;
                self.narrow().map(Statement::ShowDatabases)
            }
            "TABLES" => {
                let database = self.in_database()?;
                Ok(Statement::ShowTables { database, is_full, narrow: self.narrow()? })
            }
            "TABLE" => {
                self.word("STATUS")?;
                let database = self.in_database()?;
                Ok(Statement::ShowTableStatus { database, narrow: self.narrow()? })
            }
            "COLUMNS" | "FIELDS" => {
                Ok(Statement::ShowColumns { table: self.of_table()?, is_full, narrow: self.narrow()? })
            }
            "CREATE" => self.show_create(),
            "VARIABLES" => self.narrow().map(Statement::ShowVariables),
            "ALTER" => self.show_alter(),
            "INDEX" | "INDEXES" | "KEY" | "KEYS" => self.of_table().map(Statement::ShowIndex),
            "PARTITIONS" => {
                let table = self.of_table()?;
                self.tail()?;
                Ok(Statement::ShowPartitions(table))
            }
            "GRANTS" => {
                if self.take_word("FOR") {
                    self.user_name()?;
                }
                Ok(Statement::ShowGrants)
            }
            "PROC" => self.text().map(Statement::ShowProc),
            "FUNCTIONS" => {
                let database = self.in_database()?;
                self.narrow()?;
                Ok(Statement::ShowFunctions { database, is_full })
            }
            "PROCESSLIST" => Ok(Statement::ShowProcesslist),
            "BACKENDS" => Ok(Statement::ShowBackends),
            "FRONTENDS" => Ok(Statement::ShowFrontends),
            other => self.show_fixed(other),
        }
    }

    /// Statements with the same answer for all users; LIKE and WHERE are parsed and ignored.
    fn show_fixed(&mut self, what: &str) -> Result<Statement, SqlError> {
        let words: &[&str] = match what {
            "CHARACTER" | "CHAR" => &["SET"],
            "PROCEDURE" | "FUNCTION" => &["STATUS"],
            "OPEN" => &["TABLES"],
            "MATERIALIZED" => &["VIEWS"],
            _ => &[],
        };
        for word in words {
            self.word(word)?;
        }
        let Some(listing) = listings::named(what) else {
            self.step_back();
            return Err(self.unexpected());
        };
        self.in_database()?;
        self.narrow()?;
        self.tail()?;
        Ok(Statement::ShowFixed(listing))
    }

    fn show_create(&mut self) -> Result<Statement, SqlError> {
        if self.take_word("DATABASE") || self.take_word("SCHEMA") {
            self.take_words(&["IF", "NOT", "EXISTS"]);
            return self.name().map(Statement::ShowCreateDatabase);
        }
        self.word("TABLE")?;
        self.table_name().map(Statement::ShowCreateTable)
    }

    fn in_database(&mut self) -> Result<Option<String>, SqlError> {
        if !self.take_word("FROM") && !self.take_word("IN") {
            return Ok(None);
        }
        // In `catalog.d` the last part is the database.
        self.table_name().map(|name| Some(name.table))
    }

    pub(super) fn narrow(&mut self) -> Result<Narrow, SqlError> {
        if self.take_word("LIKE") {
            return self.text().map(Narrow::Like);
        }
        if self.take_word("WHERE") {
            return self.expression().map(Narrow::Where);
        }
        Ok(Narrow::Everything)
    }

    /// `FROM t [FROM d]`.
    fn of_table(&mut self) -> Result<TableName, SqlError> {
        if !self.take_word("FROM") {
            self.word("IN")?;
        }
        let mut table = self.table_name()?;
        if let Some(database) = self.in_database()? {
            table.database = Some(database);
        }
        Ok(table)
    }

    fn show_alter(&mut self) -> Result<Statement, SqlError> {
        self.word("TABLE")?;
        let is_column = self.take_word("COLUMN");
        if !is_column && !self.take_word("ROLLUP") && !self.take_word("OPTIMIZE") {
            return Err(self.unexpected());
        }
        let database = self.in_database()?;
        let tail = self.tail()?;
        if !is_column {
            return Ok(Statement::ShowFixed(&listings::OTHER_JOBS));
        }
        Ok(Statement::ShowAlterColumn { database, tail })
    }
}
