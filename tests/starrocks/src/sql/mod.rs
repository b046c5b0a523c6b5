//! The MySQL protocol server: the statements of a client and their answers (§12).

mod aggregate;
mod catalogue;
mod change;
mod ddl;
mod error;
mod execute;
mod expression;
mod information;
mod lexer;
mod listings;
mod parser;
mod parser_ddl;
mod parser_expression;
mod parser_query;
mod predicate;
mod select;
mod session;
mod show;
mod shown;
mod statement;
mod users;
mod variables;
mod wire;

pub(crate) use error::SqlError;
pub(crate) use lexer::{Lexer, Token};
pub(crate) use predicate::Predicate;
pub(crate) use session::serve;
