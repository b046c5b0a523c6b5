//! What a target has and what it needs, column by column; and the step from the one to the other.

use crate::starrocks::{sql::quoted, target::TargetType};

/// A column of the target as DESC shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Existing {
    pub(super) name: String,
    /// As printed, because this version knows only some types.
    pub(super) type_name: String,
    pub(super) nullable: bool,
    pub(super) default: Option<String>,
    pub(super) fills_itself: bool,
}

impl Existing {
    /// Reads `Field Type Null Key Default Extra`.
    pub(super) fn read(row: Vec<Option<String>>) -> Option<Self> {
        let mut values = row.into_iter();
        let (name, type_name, null) = (values.next()??, values.next()??, values.next()??);
        let (default, extra) = (values.nth(1).flatten(), values.next().flatten());
        // Generated and AUTO_INCREMENT columns need no value either.
        let fills_itself = default.is_some() || extra.is_some_and(|extra| !extra.is_empty());
        Some(Self { name, type_name, nullable: null.eq_ignore_ascii_case("YES"), default, fills_itself })
    }
}

/// A column that the target needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needed<'a> {
    /// The column number at the source; none for an audit column.
    pub(super) number: Option<i32>,
    pub(super) name: &'a str,
    pub(super) target: TargetType,
    pub(super) key: bool,
}

impl Needed<'_> {
    pub(super) fn definition(&self) -> String {
        let null = if self.key { "NOT NULL" } else { "NULL" };
        format!("{} {} {null}", quoted(self.name), self.target)
    }
}

/// The value that existing rows get in an added column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filling {
    Null,
    /// The text between the quotes of DEFAULT.
    Text(String),
}

/// The next ALTER of an existing target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Rename {
        from: &'a str,
        to: &'a str,
    },
    /// MODIFY COLUMN must repeat the default of a widened column.
    Change {
        added: Vec<(Needed<'a>, Filling)>,
        widened: Vec<(Needed<'a>, Option<&'a str>)>,
    },
}
