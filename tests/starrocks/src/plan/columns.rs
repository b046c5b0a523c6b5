//! The grammar of the `columns` header: names, then assignments (§4.1).

use crate::sql::{Lexer, Token};

/// One item of the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Name(String),
    Assignment { target: String, value: Written },
}

/// The right side of an assignment, as far as this server can compute it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Written {
    Null,
    Literal(String),
    Name(String),
    Call { function: String, arguments: Vec<Written> },
}

impl Item {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Assignment { .. } => None,
        }
    }

    pub(super) fn assignment(&self) -> Option<(&str, &Written)> {
        match self {
            Self::Name(_) => None,
            Self::Assignment { target, value } => Some((target, value)),
        }
    }

    pub(super) fn is_assigned_to(&self, name: &str) -> bool {
        self.assignment().is_some_and(|(target, _)| target.to_lowercase() == name.to_lowercase())
    }
}

impl Written {
    pub(super) fn print(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Literal(text) => format!("'{text}'"),
            Self::Name(name) => format!("`{name}`"),
            Self::Call { function, arguments } => {
                let arguments: Vec<_> = arguments.iter().map(Self::print).collect();
                format!("{function}({})", arguments.join(", "))
            }
        }
    }
}

pub(super) fn parse_columns(text: &str) -> Result<Vec<Item>, String> {
    let tokens = Lexer::tokens(text).map_err(|error| error.message)?;
    let mut tokens = tokens.into_iter().map(|(token, _)| token).peekable();
    let mut items = Vec::new();
    while tokens.peek().is_some() {
        items.push(item(&mut tokens)?);
        match tokens.next() {
            None => break,
            Some(Token::Symbol(',')) if tokens.peek().is_some() => {}
            Some(other) => return Err(unexpected(Some(&other))),
        }
    }
    Ok(items)
}

fn item(tokens: &mut impl TokenStream) -> Result<Item, String> {
    let target = name(tokens)?;
    if !tokens.take('=') {
        return Ok(Item::Name(target));
    }
    Ok(Item::Assignment { target, value: value(tokens)? })
}

/// A stream of tokens with one token of look-ahead.
trait TokenStream {
    fn next_token(&mut self) -> Option<Token>;
    fn take(&mut self, symbol: char) -> bool;
}

impl<I: Iterator<Item = Token>> TokenStream for std::iter::Peekable<I> {
    fn next_token(&mut self) -> Option<Token> {
        self.next()
    }

    fn take(&mut self, symbol: char) -> bool {
        self.next_if_eq(&Token::Symbol(symbol)).is_some()
    }
}

fn name(tokens: &mut impl TokenStream) -> Result<String, String> {
    match tokens.next_token() {
        Some(Token::Word(name) | Token::Quoted(name)) => Ok(name),
        other => Err(unexpected(other.as_ref())),
    }
}

fn value(tokens: &mut impl TokenStream) -> Result<Written, String> {
    let is_negative = tokens.take('-');
    match tokens.next_token() {
        Some(Token::Number(number)) if is_negative => Ok(Written::Literal(format!("-{number}"))),
        Some(Token::Number(text) | Token::Text(text)) if !is_negative => Ok(Written::Literal(text)),
        Some(Token::Quoted(name)) if !is_negative => Ok(Written::Name(name)),
        Some(Token::Word(word)) if !is_negative => named(tokens, word),
        other => Err(unexpected(other.as_ref())),
    }
}

fn named(tokens: &mut impl TokenStream, word: String) -> Result<Written, String> {
    if !tokens.take('(') {
        return Ok(match word.to_lowercase().as_str() {
            "null" => Written::Null,
            "true" => Written::Literal("1".to_owned()),
            "false" => Written::Literal("0".to_owned()),
            _ => Written::Name(word),
        });
    }
    let mut arguments = Vec::new();
    while !tokens.take(')') {
        if !arguments.is_empty() && !tokens.take(',') {
            return Err(unexpected(tokens.next_token().as_ref()));
        }
        arguments.push(value(tokens)?);
    }
    Ok(Written::Call { function: word.to_lowercase(), arguments })
}

fn unexpected(token: Option<&Token>) -> String {
    let found = token.map_or_else(|| "the end".to_owned(), Token::print);
    format!("Getting syntax error in the columns header. Detail message: Unexpected input '{found}'.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s07_items_are_names_and_assignments() {
        let items =
            parse_columns("id, `a b`, tmp, v = to_binary(tmp, 'hex'), __op='delete'").expect("parses");
        let names: Vec<_> = items.iter().filter_map(Item::name).collect();
        assert_eq!(names, ["id", "a b", "tmp"]);
        let assigned: Vec<_> = items.iter().filter_map(Item::assignment).map(|(target, _)| target).collect();
        assert_eq!(assigned, ["v", "__op"]);
        assert!(parse_columns("a, (b").is_err());
        assert!(parse_columns("a b").is_err());
        assert!(parse_columns("a = f(").is_err());
    }
}
