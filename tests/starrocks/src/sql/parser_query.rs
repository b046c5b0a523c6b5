//! From tokens to a query.

use super::{
    SqlError, Token,
    expression::Expression,
    parser::Parser,
    statement::{Direction, Select, SelectItem, Tail},
};

impl Parser {
    pub(super) fn select(&mut self) -> Result<Select, SqlError> {
        self.word("SELECT")?;
        let mut items = vec![self.select_item()?];
        while self.take(',') {
            items.push(self.select_item()?);
        }
        let mut from = None;
        if self.take_word("FROM") {
            from = Some(self.table_name()?);
            // A query reads one table, so its alias is not needed.
            self.label()?;
        }
        Ok(Select { items, from, tail: self.tail()? })
    }

    fn select_item(&mut self) -> Result<SelectItem, SqlError> {
        if self.take('*') {
            return Ok(SelectItem::Everything);
        }
        let expression = self.expression()?;
        let alias = self.label()?;
        Ok(SelectItem::Expression { expression, alias })
    }

    fn label(&mut self) -> Result<Option<String>, SqlError> {
        if self.take_word("AS") {
            let is_text = matches!(self.peek(), Some(Token::Text(_)));
            return if is_text { self.text() } else { self.name() }.map(Some);
        }
        match self.peek() {
            Some(Token::Word(word)) if !is_clause_word(word) => self.name().map(Some),
            Some(Token::Quoted(_)) => self.name().map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn tail(&mut self) -> Result<Tail, SqlError> {
        let mut tail = Tail::default();
        if self.take_word("WHERE") {
            tail.filter = Some(self.expression()?);
        }
        if self.take_words(&["GROUP", "BY"]) {
            tail.group = self.list(Self::expression)?;
        }
        if self.take_words(&["ORDER", "BY"]) {
            tail.order = self.list(Self::order_item)?;
        }
        if self.take_word("LIMIT") {
            let first = self.number()?;
            (tail.offset, tail.limit) =
                if self.take(',') { (first, Some(self.number()?)) } else { (0, Some(first)) };
            if self.take_word("OFFSET") {
                tail.offset = self.number()?;
            }
        }
        Ok(tail)
    }

    fn order_item(&mut self) -> Result<(Expression, Direction), SqlError> {
        let expression = self.expression()?;
        if self.take_word("DESC") {
            return Ok((expression, Direction::Descending));
        }
        self.take_word("ASC");
        Ok((expression, Direction::Ascending))
    }
}

fn is_clause_word(word: &str) -> bool {
    ["FROM", "WHERE", "GROUP", "ORDER", "LIMIT", "AS", "OFFSET"]
        .iter()
        .any(|clause| clause.eq_ignore_ascii_case(word))
}
