//! The grammar of expressions.

use super::{
    SqlError, Token,
    expression::{Comparison, Expression},
    parser::Parser,
};
use crate::value::Value;

const MAX_DEPTH: u32 = 64;

impl Parser {
    pub(super) fn expression(&mut self) -> Result<Expression, SqlError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SqlError::plain("the expression is nested too deeply".to_owned()));
        }
        let mut list = vec![self.conjunction()?];
        while self.take_word("OR") {
            list.push(self.conjunction()?);
        }
        self.depth -= 1;
        Ok(chain(list, Expression::Or))
    }

    fn conjunction(&mut self) -> Result<Expression, SqlError> {
        let mut list = vec![self.predicate()?];
        while self.take_word("AND") {
            list.push(self.predicate()?);
        }
        Ok(chain(list, Expression::And))
    }

    fn predicate(&mut self) -> Result<Expression, SqlError> {
        let mut negations = 0usize;
        while self.take_word("NOT") {
            negations += 1;
        }
        let plain = self.plain_predicate()?;
        // Two negations have the effect of any even number: they turn a number into a truth value.
        let wrap = |inner, _| Expression::Not(Box::new(inner));
        Ok((0..negations.min(2 - negations % 2)).fold(plain, wrap))
    }

    fn plain_predicate(&mut self) -> Result<Expression, SqlError> {
        let left = self.operand()?;
        if let Some(operator) = self.comparison() {
            let right = self.operand()?;
            return Ok(Expression::Compare { operator, left: Box::new(left), right: Box::new(right) });
        }
        if self.take_word("IS") {
            let is_negated = self.take_word("NOT");
            self.word("NULL")?;
            return Ok(Expression::IsNull { value: Box::new(left), is_negated });
        }
        let is_negated = self.take_word("NOT");
        if self.take_word("IN") {
            self.expect('(')?;
            let list = self.list(Self::operand)?;
            self.expect(')')?;
            return Ok(Expression::In { value: Box::new(left), list, is_negated });
        }
        if self.take_word("LIKE") {
            let pattern = Box::new(self.operand()?);
            return Ok(Expression::Like { value: Box::new(left), pattern, is_negated });
        }
        if self.take_word("BETWEEN") {
            return self.between(left, is_negated);
        }
        if is_negated { Err(self.unexpected()) } else { Ok(left) }
    }

    fn between(&mut self, value: Expression, is_negated: bool) -> Result<Expression, SqlError> {
        let low = self.operand()?;
        self.word("AND")?;
        let high = self.operand()?;
        let bound = |operator, bound| Expression::Compare {
            operator,
            left: Box::new(value.clone()),
            right: Box::new(bound),
        };
        let inside = Expression::And(vec![
            bound(Comparison::GreaterOrEqual, low),
            bound(Comparison::LessOrEqual, high),
        ]);
        Ok(if is_negated { Expression::Not(Box::new(inside)) } else { inside })
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let comparison = match self.peek()? {
            Token::Symbol(symbol) => Comparison::named(symbol.encode_utf8(&mut [0; 4])),
            Token::Operator(operator) => Comparison::named(operator),
            _ => None,
        };
        if comparison.is_some() {
            self.next();
        }
        comparison
    }

    pub(super) fn operand(&mut self) -> Result<Expression, SqlError> {
        if self.take('(') {
            let inner = self.expression()?;
            self.expect(')')?;
            return Ok(inner);
        }
        if self.take('-') {
            return match self.next() {
                Some(Token::Number(text)) => Ok(Expression::Literal(number(&format!("-{text}")))),
                _ => {
                    self.step_back();
                    Err(self.unexpected())
                }
            };
        }
        match self.next() {
            Some(Token::Number(text)) => Ok(Expression::Literal(number(&text))),
            Some(Token::Text(text)) => Ok(Expression::Literal(Value::text(text))),
            Some(Token::Variable(name)) => Ok(Expression::Variable(name)),
            Some(Token::Quoted(name)) => self.column(name),
            Some(Token::Word(word)) => self.word_operand(word),
            _ => {
                self.step_back();
                Err(self.unexpected())
            }
        }
    }

    fn word_operand(&mut self, word: String) -> Result<Expression, SqlError> {
        match word.to_uppercase().as_str() {
            "NULL" => return Ok(Expression::Literal(Value::Null)),
            "TRUE" => return Ok(Expression::Literal(Value::Boolean(true))),
            "FALSE" => return Ok(Expression::Literal(Value::Boolean(false))),
            "FROM" | "WHERE" | "GROUP" | "ORDER" | "LIMIT" => {
                self.step_back();
                return Err(self.unexpected());
            }
            "DATE" | "TIMESTAMP" if matches!(self.peek(), Some(Token::Text(_))) => {
                return self.text().map(|text| Expression::Literal(Value::text(text)));
            }
            _ => {}
        }
        if !self.take('(') {
            return self.column(word);
        }
        let is_distinct = self.take_word("DISTINCT");
        let mut arguments = Vec::new();
        while !self.take(')') {
            if !arguments.is_empty() {
                self.expect(',')?;
            }
            arguments.push(if self.take('*') { Expression::Star } else { self.expression()? });
        }
        Ok(Expression::Call { function: word, arguments, is_distinct })
    }

    /// The last part of `t.c` or `d.t.c`: a query reads one table, so the column alone is enough.
    fn column(&mut self, first: String) -> Result<Expression, SqlError> {
        let mut name = first;
        while self.take('.') {
            name = self.name()?;
        }
        Ok(Expression::Column(name))
    }
}

fn chain(mut list: Vec<Expression>, many: impl FnOnce(Vec<Expression>) -> Expression) -> Expression {
    match (list.pop(), list.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            list.extend(last);
            many(list)
        }
    }
}

fn number(text: &str) -> Value {
    match text.parse() {
        Ok(number) => Value::Integer(number),
        Err(_) if text.contains(['e', 'E']) => text.parse().map_or(Value::Null, Value::Double),
        Err(_) => Value::Decimal(text.into()),
    }
}
