//! A WHERE clause without a statement, as in the headers of a load.

use super::{
    Lexer,
    expression::{Expression, Scope, truth},
    parser::Parser,
};
use crate::{Profile, value::Value};

#[derive(Debug)]
pub(crate) struct Predicate(Expression);

struct Row<'r>(&'r dyn Fn(&str) -> Option<Value>);

impl Scope for Row<'_> {
    fn column(&self, name: &str) -> Option<Value> {
        Some((self.0)(name).unwrap_or(Value::Null))
    }

    fn variable(&self, _name: &str) -> Option<Value> {
        None
    }

    fn call(&self, _function: &str, _arguments: &[Value]) -> Option<Value> {
        None
    }

    fn profile(&self) -> Profile {
        Profile::default()
    }
}

impl Predicate {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let tokens = Lexer::tokens(text).map_err(|error| error.message)?;
        let mut parser = Parser::over(tokens, Profile::default());
        let expression = parser.expression().map_err(|error| error.message)?;
        if parser.is_done() { Ok(Self(expression)) } else { Err(parser.unexpected().message) }
    }

    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.0.visit(&mut |expression| {
            if let Expression::Column(name) = expression {
                names.push(name.as_str());
            }
        });
        names
    }

    /// A predicate that is NULL selects no row, as one that is false.
    pub(crate) fn holds(&self, column: &dyn Fn(&str) -> Option<Value>) -> bool {
        self.0.evaluate(&Row(column)).is_ok_and(|value| truth(&value) == Some(true))
    }
}
