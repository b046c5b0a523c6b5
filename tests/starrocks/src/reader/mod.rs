//! The rows of a load's body.

mod json;
mod rows;
mod syntax;

pub(crate) use json::{Json, Object, Tree};
pub(crate) use rows::{JsonRow, JsonRows};
pub(crate) use syntax::SyntaxError;
