//! The grammar of CREATE, DROP and ALTER.

use std::collections::BTreeMap;

use super::{
    SqlError, Token,
    parser::Parser,
    statement::{Clause, CreateTable, Statement, TableName},
};
use crate::catalog::{ColumnSpec, DefaultValue, Model, Place, SchemaChange, SqlType};

const MAX_TYPE_DEPTH: u32 = 16;

impl Parser {
    pub(super) fn create(&mut self) -> Result<Statement, SqlError> {
        self.word("CREATE")?;
        if self.take_word("DATABASE") || self.take_word("SCHEMA") {
            let if_not_exists = self.take_words(&["IF", "NOT", "EXISTS"]);
            return Ok(Statement::CreateDatabase { name: self.name()?, if_not_exists });
        }
        if self.take_word("USER") {
            return self.create_user();
        }
        self.take_word("EXTERNAL");
        self.word("TABLE")?;
        let if_not_exists = self.take_words(&["IF", "NOT", "EXISTS"]);
        let table = self.table_name()?;
        if self.take_word("LIKE") {
            return Ok(Statement::CreateTableLike { table, model: self.table_name()?, if_not_exists });
        }
        let columns = self.in_brackets(Self::column_spec)?;
        self.create_rest(table, if_not_exists, columns).map(|create| Statement::CreateTable(Box::new(create)))
    }

    fn create_rest(
        &mut self,
        table: TableName,
        if_not_exists: bool,
        columns: Vec<ColumnSpec>,
    ) -> Result<CreateTable, SqlError> {
        if self.take_word("ENGINE") {
            self.expect('=')?;
            self.name()?;
        }
        let keys = self.key_clause()?;
        let comment = if self.take_word("COMMENT") { self.text()? } else { String::new() };
        let (mut hash_columns, mut buckets) = (None, None);
        if self.take_words(&["DISTRIBUTED", "BY"]) {
            self.word("HASH")?;
            hash_columns = Some(self.in_brackets(Self::name)?);
            buckets = if self.take_word("BUCKETS") { Some(self.number()?) } else { None };
        }
        let sort_columns =
            if self.take_words(&["ORDER", "BY"]) { self.in_brackets(Self::name)? } else { Vec::new() };
        let properties = if self.take_word("PROPERTIES") { self.properties()? } else { BTreeMap::new() };
        Ok(CreateTable {
            table,
            if_not_exists,
            columns,
            keys,
            hash_columns,
            buckets,
            sort_columns,
            comment,
            properties,
        })
    }

    fn key_clause(&mut self) -> Result<Option<(Model, Vec<String>)>, SqlError> {
        let model = if self.take_words(&["PRIMARY", "KEY"]) {
            Model::PrimaryKeys
        } else if self.take_words(&["DUPLICATE", "KEY"]) {
            Model::DuplicateKeys
        } else {
            return Ok(None);
        };
        Ok(Some((model, self.in_brackets(Self::name)?)))
    }

    fn in_brackets<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        self.expect('(')?;
        let mut items = vec![item(self)?];
        while self.take(',') {
            items.push(item(self)?);
        }
        self.expect(')')?;
        Ok(items)
    }

    fn properties(&mut self) -> Result<BTreeMap<String, String>, SqlError> {
        let pair = |parser: &mut Self| {
            let name = parser.text()?;
            parser.expect('=')?;
            Ok((name, parser.text()?))
        };
        self.in_brackets(pair).map(BTreeMap::from_iter)
    }

    pub(super) fn column_spec(&mut self) -> Result<ColumnSpec, SqlError> {
        let name = self.name()?;
        let sql_type = self.sql_type(0)?;
        let mut spec = ColumnSpec { name, sql_type, nullable: None, default: None, comment: String::new() };
        self.take_word("KEY");
        loop {
            if self.take_word("NULL") {
                spec.nullable = Some(true);
            } else if self.take_words(&["NOT", "NULL"]) {
                spec.nullable = Some(false);
            } else if self.take_word("DEFAULT") {
                spec.default = Some(self.default_value()?);
            } else if self.take_word("COMMENT") {
                spec.comment = self.text()?;
            } else {
                return Ok(spec);
            }
        }
    }

    /// A quoted constant, CURRENT_TIMESTAMP or NULL (§12.4).
    fn default_value(&mut self) -> Result<DefaultValue, SqlError> {
        if self.take_word("NULL") {
            return Ok(DefaultValue::Null);
        }
        if self.take_word("CURRENT_TIMESTAMP") {
            if self.take('(') {
                self.expect(')')?;
            }
            return Ok(DefaultValue::CurrentTimestamp);
        }
        self.text().map(DefaultValue::Constant)
    }

    fn length(&mut self) -> Result<Option<u32>, SqlError> {
        if !self.take('(') {
            return Ok(None);
        }
        let length = self.number()?;
        self.expect(')')?;
        Ok(Some(length))
    }

    fn sql_type(&mut self, depth: u32) -> Result<SqlType, SqlError> {
        let Some(Token::Word(word)) = self.next().filter(|_| depth < MAX_TYPE_DEPTH) else {
            self.step_back();
            return Err(self.unexpected());
        };
        Ok(match word.to_uppercase().as_str() {
            "BOOLEAN" | "BOOL" => SqlType::Boolean,
            "TINYINT" => self.integer(SqlType::TinyInt)?,
            "SMALLINT" => self.integer(SqlType::SmallInt)?,
            "INT" | "INTEGER" => self.integer(SqlType::Int)?,
            "BIGINT" => self.integer(SqlType::BigInt)?,
            "LARGEINT" => self.integer(SqlType::LargeInt)?,
            "FLOAT" => SqlType::Float,
            "DOUBLE" => SqlType::Double,
            "DECIMAL" | "NUMERIC" | "DECIMALV3" => self.decimal()?,
            "CHAR" => SqlType::Char(self.length()?.unwrap_or(1)),
            "VARCHAR" => SqlType::Varchar(self.length()?.unwrap_or(1)),
            "STRING" | "TEXT" => SqlType::Varchar(crate::catalog::STRING_LENGTH),
            "VARBINARY" | "BINARY" => SqlType::Varbinary(self.length()?),
            "DATE" => SqlType::Date,
            "DATETIME" => SqlType::DateTime,
            "TIME" => SqlType::Time,
            "JSON" => SqlType::Json,
            "ARRAY" => {
                self.expect('<')?;
                let item = self.sql_type(depth + 1)?;
                self.close_type()?;
                SqlType::Array(Box::new(item))
            }
            "MAP" => {
                self.expect('<')?;
                let key = self.sql_type(depth + 1)?;
                self.expect(',')?;
                let value = self.sql_type(depth + 1)?;
                self.close_type()?;
                SqlType::Map(Box::new(key), Box::new(value))
            }
            "STRUCT" => self.struct_type(depth)?,
            _ => {
                self.step_back();
                return Err(self.unexpected());
            }
        })
    }

    fn close_type(&mut self) -> Result<(), SqlError> {
        self.expect('>')
    }

    fn struct_type(&mut self, depth: u32) -> Result<SqlType, SqlError> {
        self.expect('<')?;
        let mut fields = Vec::new();
        loop {
            fields.push((self.name()?, self.sql_type(depth + 1)?));
            if !self.take(',') {
                self.close_type()?;
                return Ok(SqlType::Struct(fields));
            }
        }
    }

    /// A display width is accepted and ignored.
    fn integer(&mut self, sql_type: SqlType) -> Result<SqlType, SqlError> {
        self.length()?;
        Ok(sql_type)
    }

    fn decimal(&mut self) -> Result<SqlType, SqlError> {
        if !self.take('(') {
            return Ok(SqlType::Decimal { precision: 10, scale: 0 });
        }
        let precision: u16 = self.number()?;
        let scale: u16 = if self.take(',') { self.number()? } else { 0 };
        self.expect(')')?;
        let most = self.profile.max_decimal_precision();
        let within = u8::try_from(precision).ok().filter(|precision| (1..=most).contains(precision));
        let precision = within
            .ok_or_else(|| SqlError::plain(format!("DECIMAL's precision should range from 1 to {most}")))?;
        let scale = u8::try_from(scale).ok().filter(|scale| *scale <= precision).ok_or_else(|| {
            SqlError::plain(
                "DECIMAL(P[,S]) type P must be greater than or equal to the value of S".to_owned(),
            )
        })?;
        Ok(SqlType::Decimal { precision, scale })
    }

    pub(super) fn drop_statement(&mut self) -> Result<Statement, SqlError> {
        self.word("DROP")?;
        if self.take_word("USER") {
            let if_exists = self.take_words(&["IF", "EXISTS"]);
            return Ok(Statement::DropUser { name: self.user_name()?, if_exists });
        }
        let is_database = self.take_word("DATABASE") || self.take_word("SCHEMA");
        if !is_database {
            self.word("TABLE")?;
        }
        let if_exists = self.take_words(&["IF", "EXISTS"]);
        let table = self.table_name()?;
        self.take_word("FORCE");
        if is_database {
            return Ok(Statement::DropDatabase { name: table.table, if_exists });
        }
        Ok(Statement::DropTable { table, if_exists })
    }

    /// `CANCEL ALTER TABLE COLUMN FROM t`.
    pub(super) fn cancel(&mut self) -> Result<Statement, SqlError> {
        for word in ["CANCEL", "ALTER", "TABLE", "COLUMN", "FROM"] {
            self.word(word)?;
        }
        self.table_name().map(Statement::CancelAlter)
    }

    pub(super) fn alter(&mut self) -> Result<Statement, SqlError> {
        self.word("ALTER")?;
        self.word("TABLE")?;
        let table = self.table_name()?;
        let mut clauses = self.clause()?;
        while self.take(',') {
            clauses.extend(self.clause()?);
        }
        Ok(Statement::AlterTable { table, clauses })
    }

    fn clause(&mut self) -> Result<Vec<Clause>, SqlError> {
        if self.take_words(&["ADD", "COLUMN"]) {
            return self.add_columns();
        }
        let clause = if self.take_words(&["DROP", "COLUMN"]) {
            Clause::Schema(SchemaChange::Drop(self.name()?))
        } else if self.take_words(&["MODIFY", "COLUMN"]) {
            let spec = self.column_spec()?;
            self.place()?;
            Clause::Schema(SchemaChange::Modify(spec))
        } else if self.profile.has_rename_column() && self.take_words(&["RENAME", "COLUMN"]) {
            let from = self.name()?;
            self.word("TO")?;
            Clause::RenameColumn { from, to: self.name()? }
        } else if self.take_word("RENAME") {
            Clause::RenameTable(self.name()?)
        } else if self.take_words(&["SWAP", "WITH"]) {
            Clause::SwapWith(self.name()?)
        } else if self.take_word("COMMENT") {
            self.expect('=')?;
            Clause::SetComment(self.text()?)
        } else if self.take_word("SET") {
            Clause::SetProperties(self.properties()?)
        } else {
            return Err(self.unexpected());
        };
        Ok(vec![clause])
    }

    fn add_columns(&mut self) -> Result<Vec<Clause>, SqlError> {
        if self.peek() == Some(&Token::Symbol('(')) {
            let specs = self.in_brackets(Self::column_spec)?;
            let add = |spec| Clause::Schema(SchemaChange::Add(spec, Place::Last));
            return Ok(specs.into_iter().map(add).collect());
        }
        let spec = self.column_spec()?;
        let place = self.place()?;
        Ok(vec![Clause::Schema(SchemaChange::Add(spec, place))])
    }

    fn place(&mut self) -> Result<Place, SqlError> {
        if self.take_word("FIRST") {
            return Ok(Place::First);
        }
        if self.take_word("AFTER") {
            return self.name().map(Place::After);
        }
        Ok(Place::Last)
    }
}
