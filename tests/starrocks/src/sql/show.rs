//! The grammar of SHOW.

use super::{SqlError, parser::Parser, statement::Statement};

impl Parser {
    pub(super) fn show(&mut self) -> Result<Statement, SqlError> {
        self.word("SHOW")?;
        let is_full = self.take_word("FULL");
        for scope in ["GLOBAL", "SESSION"] {
            self.take_word(scope);
        }
        let Some(what) = self.next().map(|token| token.print().to_uppercase()) else {
            return Err(self.unexpected());
        };
        match what.as_str() {
            "DATABASES" | "SCHEMAS" => Ok(Statement::ShowDatabases { like: self.like()? }),
            "TABLES" => {
                let database = self.in_database()?;
                Ok(Statement::ShowTables { database, is_full, like: self.like()? })
            }
            "COLUMNS" | "FIELDS" => self.show_columns(is_full),
            "CREATE" => {
                self.word("TABLE")?;
                self.table_name().map(Statement::ShowCreateTable)
            }
            "VARIABLES" => Ok(Statement::ShowVariables { like: self.like()? }),
            "ALTER" => self.show_alter(),
            "BACKENDS" => Ok(Statement::ShowBackends),
            "WARNINGS" | "ERRORS" => Ok(Statement::ShowNothing(&["Level", "Code", "Message"])),
            "STATUS" => {
                self.like()?;
                Ok(Statement::ShowNothing(&["Variable_name", "Value"]))
            }
            "PROCESSLIST" => {
                Ok(Statement::ShowNothing(&["Id", "User", "Host", "Db", "Command", "Time", "State", "Info"]))
            }
            _ => {
                self.step_back();
                Err(self.unexpected())
            }
        }
    }

    fn in_database(&mut self) -> Result<Option<String>, SqlError> {
        if self.take_word("FROM") || self.take_word("IN") { self.name().map(Some) } else { Ok(None) }
    }

    pub(super) fn like(&mut self) -> Result<Option<String>, SqlError> {
        if self.take_word("LIKE") {
            return self.text().map(Some);
        }
        if self.take_word("WHERE") {
            // `WHERE Variable_name = "x"`: drivers use this form too.
            self.name()?;
            if !self.take('=') {
                self.word("LIKE")?;
            }
            return self.text().map(Some);
        }
        Ok(None)
    }

    fn show_columns(&mut self, is_full: bool) -> Result<Statement, SqlError> {
        if !self.take_word("FROM") {
            self.word("IN")?;
        }
        let mut table = self.table_name()?;
        if let Some(database) = self.in_database()? {
            table.database = Some(database);
        }
        Ok(Statement::ShowColumns { table, is_full, like: self.like()? })
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
            return Ok(Statement::ShowNothing(&["JobId", "TableName", "State"]));
        }
        Ok(Statement::ShowAlterColumn { database, tail })
    }
}
