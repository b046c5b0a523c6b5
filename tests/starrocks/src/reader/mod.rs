//! The rows of a load's body.

mod csv;
mod json;
mod rows;
mod syntax;

pub(crate) use csv::{CsvFormat, CsvRows, delimiter};
pub(crate) use json::{Json, Object, Tree};
pub(crate) use rows::{JsonRow, JsonRows};
pub(crate) use syntax::SyntaxError;
