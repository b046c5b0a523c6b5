//! Validates values of every origin by the rules of [`crds::limits`], which the operator uses too.
//!
//! Every value is validated here once; no later module checks it again.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use crds::limits;
pub(super) use crds::limits::{PORT, ROWS};

use super::{ConfigError, Consistency, OnRefusedRow};
use crate::table::TableName;

pub(super) const DEFAULT_BUFFER: usize = 32 << 20;
pub(super) const DEFAULT_MAX_BYTES: usize = 16 << 20;
pub(super) const DEFAULT_DRAIN: Duration = Duration::from_secs(60);

pub(super) const DEFAULT_CATCH_UP: &str = "256Mi";

impl From<limits::Wrong> for ConfigError {
    fn from(limits::Wrong { field, problem }: limits::Wrong) -> Self {
        Self { field, problem }
    }
}

/// A whole number within bounds.
pub(super) fn number<T>(field: &str, text: &str, bounds: RangeInclusive<T>) -> Result<T, ConfigError>
where
    T: FromStr + PartialOrd + Display,
{
    Ok(limits::number(field, text, bounds)?)
}

/// An amount of bytes, such as `16Mi`, within bounds that are written the same way.
pub(super) fn bytes(field: &str, text: &str, low: &str, high: &str) -> Result<usize, ConfigError> {
    Ok(limits::bytes(field, text, low, high)?)
}

/// A backlog in bytes; `None` for `Never`.
pub(super) fn catch_up(field: &str, text: &str) -> Result<Option<u64>, ConfigError> {
    Ok(limits::catch_up(field, text)?)
}

/// A duration, such as `500ms`, within bounds that are written the same way.
pub(super) fn duration(field: &str, text: &str, low: &str, high: &str) -> Result<Duration, ConfigError> {
    Ok(limits::duration(field, text, low, high)?)
}

/// A host name or an address, without port and without brackets.
pub(super) fn host(field: &str, text: &str) -> Result<String, ConfigError> {
    Ok(limits::host(field, text)?)
}

/// A name whose validity the other system decides: only what cannot be a name at all is refused here.
pub(super) fn name(field: &str, text: &str) -> Result<String, ConfigError> {
    Ok(limits::name(field, text)?)
}

/// A name of an object in PostgreSQL.
pub(super) fn identifier(field: &str, text: &str) -> Result<String, ConfigError> {
    Ok(limits::identifier(field, text)?)
}

/// A replication slot: PostgreSQL allows fewer characters here than in other names.
pub(super) fn slot(field: &str, text: &str) -> Result<String, ConfigError> {
    Ok(limits::slot(field, text)?)
}

/// With `consistency: Transaction` a dead letter would be missing from its transaction.
pub(super) fn fits_together(
    field: &str,
    consistency: Consistency,
    on_refused_row: OnRefusedRow,
) -> Result<(), ConfigError> {
    Ok(limits::fits_together(field, consistency, on_refused_row)?)
}

/// The selected tables: no duplicates, and no two with the same target.
pub(super) fn tables<'a>(
    field: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<TableName>, ConfigError> {
    let named = |(schema, name): (&str, &str)| TableName { schema: schema.to_owned(), name: name.to_owned() };
    Ok(limits::tables(field, names)?.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_read_a_table_and_its_target_the_same_way() {
        for text in ["orders", "public.orders", "sales.items", "a.b.c", "public.x__y"] {
            let read = tables("TABLES", [text]).unwrap();
            assert_eq!(TableName::parse(text).as_ref(), read.first(), "{text}");
            assert_eq!(read[0].target(), limits::target(&read[0].schema, &read[0].name), "{text}");
        }
    }
}
