//! A column of a table.

use super::SqlType;
use crate::{convert, value::Value};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// Stays the same when the column is renamed or moved, because loads find their columns by it.
    pub(crate) id: u32,
    pub(crate) name: String,
    /// The name at creation, which a renamed column keeps internally (§12.6).
    pub(crate) first_name: String,
    pub(crate) sql_type: SqlType,
    pub(crate) nullable: bool,
    pub(crate) is_key: bool,
    pub(crate) default: Option<DefaultValue>,
    pub(crate) comment: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DefaultValue {
    /// An explicit `DEFAULT NULL`.
    Null,
    Constant(String),
    CurrentTimestamp,
}

impl Column {
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.name.to_lowercase() == name.to_lowercase()
    }

    /// The default as SHOW prints it.
    pub(crate) fn printed_default(&self) -> Option<&str> {
        match &self.default {
            None | Some(DefaultValue::Null) => None,
            Some(DefaultValue::Constant(text)) => Some(text),
            Some(DefaultValue::CurrentTimestamp) => Some("CURRENT_TIMESTAMP"),
        }
    }

    /// The default that a change of the column has to repeat: `DEFAULT NULL` need not be repeated (§12.6).
    pub(crate) fn constant_default(&self) -> Option<&DefaultValue> {
        self.default.as_ref().filter(|default| **default != DefaultValue::Null)
    }

    /// The value of this column in a row that does not bring it; `None` when it has no default and does not allow NULL.
    pub(crate) fn value_when_absent(&self, now_millis: i64) -> Option<Value> {
        match &self.default {
            Some(DefaultValue::Constant(text)) => convert::from_text(text, &self.sql_type).ok(),
            Some(DefaultValue::CurrentTimestamp) => {
                convert::from_text(&crate::clock::print_seconds(now_millis), &self.sql_type).ok()
            }
            None | Some(DefaultValue::Null) => self.nullable.then_some(Value::Null),
        }
    }
}
