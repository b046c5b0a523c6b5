//! The MySQL side: what a client says on port 9030 and what it is answered (§12).

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
