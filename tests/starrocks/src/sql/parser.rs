//! From tokens to a statement: SHOW, SET and others; queries, expressions and DDL have modules of their own.

use super::{
    Lexer, SqlError, Token,
    expression::Expression,
    statement::{Assignment, Statement, TableName},
};
use crate::{Profile, value::Value};

pub(super) struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    pub(super) profile: Profile,
    pub(super) depth: u32,
}

/// Parses one statement; a `;` may end it, and nothing may follow.
pub(super) fn parse(text: &str, ansi_quotes: bool, profile: Profile) -> Result<Statement, SqlError> {
    let tokens = Lexer::tokens_with(text, ansi_quotes)?;
    let mut parser = Parser::over(tokens, profile);
    let statement = parser.statement()?;
    while parser.take(';') {}
    if parser.is_done() { Ok(statement) } else { Err(parser.unexpected()) }
}

impl Parser {
    pub(super) fn over(tokens: Vec<(Token, usize)>, profile: Profile) -> Self {
        Self { tokens, at: 0, profile, depth: 0 }
    }

    fn statement(&mut self) -> Result<Statement, SqlError> {
        let Some(Token::Word(first)) = self.peek().cloned() else { return Err(self.unexpected()) };
        match first.to_uppercase().as_str() {
            "SELECT" => self.select().map(Statement::Select),
            "SET" => self.set(),
            "USE" => {
                self.at += 1;
                self.name().map(Statement::Use)
            }
            "GRANT" | "REVOKE" => self.grant(),
            "ADMIN" if self.take_words(&["ADMIN", "SHOW", "FRONTEND", "CONFIG"]) => {
                self.narrow().map(Statement::ShowConfig)
            }
            "KILL" => {
                self.at += 1;
                let is_query = self.take_word("QUERY");
                self.take_word("CONNECTION");
                Ok(Statement::Kill { connection: self.number()?, is_query })
            }
            "DELETE" => {
                self.at += 1;
                self.word("FROM")?;
                let table = self.table_name()?;
                let filter = if self.take_word("WHERE") { Some(self.expression()?) } else { None };
                Ok(Statement::Delete { table, filter })
            }
            "UPDATE" => {
                self.at += 1;
                let table = self.table_name()?;
                self.word("SET")?;
                let assignments = self.list(|parser| {
                    let name = parser.name()?;
                    parser.expect('=')?;
                    Ok((name, parser.expression()?))
                })?;
                let filter = if self.take_word("WHERE") { Some(self.expression()?) } else { None };
                Ok(Statement::Update { table, assignments, filter })
            }
            "BEGIN" | "COMMIT" | "ROLLBACK" | "START" | "ADMIN" => {
                self.at = self
                    .tokens
                    .iter()
                    .position(|(token, _)| *token == Token::Symbol(';'))
                    .unwrap_or(self.tokens.len());
                Ok(Statement::Nothing)
            }
            "SHOW" => self.show(),
            "DESC" | "DESCRIBE" => {
                self.at += 1;
                self.table_name().map(Statement::Describe)
            }
            "CREATE" => self.create(),
            "DROP" => self.drop_statement(),
            "TRUNCATE" => {
                self.at += 1;
                self.word("TABLE")?;
                self.table_name().map(Statement::TruncateTable)
            }
            "ALTER" => self.alter(),
            "CANCEL" => self.cancel(),
            _ => Err(self.unexpected()),
        }
    }

    // Tokens.

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += usize::from(token.is_some());
        token
    }

    pub(super) fn step_back(&mut self) {
        self.at = self.at.saturating_sub(1);
    }

    pub(super) fn unexpected(&self) -> SqlError {
        match self.tokens.get(self.at) {
            Some((token, at)) => SqlError::syntax(*at, &format!("Unexpected input '{}'", token.print())),
            None => SqlError::syntax(0, "Unexpected input '<EOF>'"),
        }
    }

    pub(super) fn take(&mut self, symbol: char) -> bool {
        let comes = self.peek() == Some(&Token::Symbol(symbol));
        self.at += usize::from(comes);
        comes
    }

    pub(super) fn expect(&mut self, symbol: char) -> Result<(), SqlError> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn comes(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word))
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let comes = self.comes(word);
        self.at += usize::from(comes);
        comes
    }

    pub(super) fn take_words(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        let all = words.iter().all(|word| self.take_word(word));
        if !all {
            self.at = start;
        }
        all
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), SqlError> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn name(&mut self) -> Result<String, SqlError> {
        match self.next() {
            Some(Token::Word(name) | Token::Quoted(name)) => Ok(name),
            _ => {
                self.step_back();
                Err(self.unexpected())
            }
        }
    }

    pub(super) fn text(&mut self) -> Result<String, SqlError> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text),
            _ => {
                self.step_back();
                Err(self.unexpected())
            }
        }
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Result<T, SqlError> {
        let parsed = match self.peek() {
            Some(Token::Number(text)) => text.parse().ok(),
            _ => None,
        };
        let number = parsed.ok_or_else(|| self.unexpected())?;
        self.at += 1;
        Ok(number)
    }

    /// `t`, `d.t` or `catalog.d.t`.
    pub(super) fn table_name(&mut self) -> Result<TableName, SqlError> {
        let mut parts = vec![self.name()?];
        while parts.len() < 3 && self.take('.') {
            parts.push(self.name()?);
        }
        let table = parts.pop().unwrap_or_default();
        Ok(TableName { database: parts.pop(), table })
    }

    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let mut items = vec![item(self)?];
        while self.take(',') {
            items.push(item(self)?);
        }
        Ok(items)
    }

    // SET.

    fn set(&mut self) -> Result<Statement, SqlError> {
        self.word("SET")?;
        let assignments = self.list(Self::assignment)?;
        Ok(Statement::Set(assignments))
    }

    fn assignment(&mut self) -> Result<Assignment, SqlError> {
        if self.take_word("NAMES") || self.take_words(&["CHARACTER", "SET"]) || self.take_word("CHARSET") {
            let value = self.set_value()?;
            if self.take_word("COLLATE") {
                self.set_value()?;
            }
            return Ok(Assignment { name: "names".to_owned(), is_global: false, value });
        }
        let mut is_global = self.take_word("GLOBAL");
        let _ = is_global || self.take_word("SESSION") || self.take_word("LOCAL");
        if self.take_words(&["TRANSACTION"]) {
            while self.next().is_some() {}
            return Ok(Assignment {
                name: "transaction".to_owned(),
                is_global,
                value: Expression::Literal(Value::Null),
            });
        }
        let name = match self.next() {
            Some(Token::Variable(name) | Token::Word(name) | Token::Quoted(name)) => name,
            _ => return Err(self.unexpected()),
        };
        self.take(':');
        self.expect('=')?;
        let value = self.set_value()?;
        let name = name.to_lowercase();
        is_global |= name.starts_with("global.");
        let name = name.rsplit('.').next().unwrap_or_default().to_owned();
        Ok(Assignment { name, is_global, value })
    }

    /// An unquoted word is its own value: `utf8mb4`, `ON`, `DEFAULT`.
    fn set_value(&mut self) -> Result<Expression, SqlError> {
        let value = self.operand()?;
        let is_plain = match self.peek() {
            None => true,
            Some(Token::Symbol(symbol)) => matches!(symbol, ',' | ';'),
            Some(Token::Word(word)) => word.eq_ignore_ascii_case("COLLATE"),
            Some(_) => false,
        };
        match value {
            _ if !is_plain => Err(SqlError::plain("Set statement only support constant expr.".to_owned())),
            Expression::Column(word) => Ok(Expression::Literal(Value::text(word))),
            value => Ok(value),
        }
    }
}
