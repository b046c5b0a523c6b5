//! What a value may be, whichever way it came in.
//!
//! Everything that is read ends here once, so that no later room checks it again.

use std::{
    collections::HashSet, fmt::Display, net::Ipv6Addr, ops::RangeInclusive, str::FromStr, time::Duration,
};

use crds::measure;

use super::{ConfigError, Consistency, OnRefusedRow};
use crate::table::TableName;

pub(super) const DEFAULT_BUFFER: usize = 32 << 20;
pub(super) const DEFAULT_MAX_BYTES: usize = 16 << 20;
pub(super) const DEFAULT_DRAIN: Duration = Duration::from_secs(60);

pub(super) const DEFAULT_CATCH_UP: &str = "256Mi";

/// Rows of one load.
pub(super) const ROWS: RangeInclusive<usize> = 1..=10_000_000;
/// A port that something listens on.
pub(super) const PORT: RangeInclusive<u16> = 1..=u16::MAX;

const TABLES: usize = 1000;
/// PostgreSQL cuts longer names off without a word (`NAMEDATALEN`).
const IDENTIFIER: usize = 63;
const NAME: usize = 256;
const HOST: usize = 253;

/// A whole number within bounds.
pub(super) fn number<T>(field: &str, text: &str, bounds: RangeInclusive<T>) -> Result<T, ConfigError>
where
    T: FromStr + PartialOrd + Display,
{
    let number = text.trim().parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| {
        ConfigError::new(field, format!("must be a whole number from {} to {}", bounds.start(), bounds.end()))
    })
}

/// An amount of bytes, such as `16Mi`, within bounds that are written the same way.
pub(super) fn bytes(field: &str, text: &str, low: &str, high: &str) -> Result<usize, ConfigError> {
    let bounds = measure::bytes(low)..=measure::bytes(high);
    let bytes = measure::bytes(text).filter(|bytes| bounds.contains(&Some(*bytes)));
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
        let form = "a whole number of bytes, alone or with Ki, Mi or Gi";
        ConfigError::new(field, format!("must be {form}, from {low} to {high}"))
    })
}

/// A backlog in bytes, or none for `Never`.
pub(super) fn catch_up(field: &str, text: &str) -> Result<Option<u64>, ConfigError> {
    if text == "Never" {
        return Ok(None);
    }
    bytes(field, text, "0", "1024Gi")
        .map(|bytes| Some(bytes as u64))
        .map_err(|error| ConfigError::new(field, format!("{}, or Never", error.problem)))
}

/// A duration, such as `500ms`, within bounds that are written the same way.
pub(super) fn duration(field: &str, text: &str, low: &str, high: &str) -> Result<Duration, ConfigError> {
    let bounds = measure::duration(low)..=measure::duration(high);
    measure::duration(text).filter(|duration| bounds.contains(&Some(*duration))).ok_or_else(|| {
        ConfigError::new(field, format!("must be a whole number with ms, s, m or h, from {low} to {high}"))
    })
}

/// A host name or an address, without port and without brackets.
pub(super) fn host(field: &str, text: &str) -> Result<String, ConfigError> {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let named = !text.is_empty() && text.len() <= HOST && text.bytes().all(name);
    let valid = named || text.parse::<Ipv6Addr>().is_ok();
    let problem = "must hold one host name or address";
    valid.then(|| text.to_owned()).ok_or_else(|| ConfigError::new(field, problem))
}

/// A name that the other end will judge: only what can be no name at all is refused here.
pub(super) fn name(field: &str, text: &str) -> Result<String, ConfigError> {
    let valid = !text.is_empty() && text.len() <= NAME && !text.chars().any(char::is_control);
    let problem = format!("must be a name of 1 to {NAME} bytes without control characters");
    valid.then(|| text.to_owned()).ok_or_else(|| ConfigError::new(field, problem))
}

/// A name of an object in PostgreSQL.
pub(super) fn identifier(field: &str, text: &str) -> Result<String, ConfigError> {
    let problem = format!("must be a name of 1 to {IDENTIFIER} bytes without control characters");
    is_identifier(text).then(|| text.to_owned()).ok_or_else(|| ConfigError::new(field, problem))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= IDENTIFIER && !text.chars().any(char::is_control)
}

/// A replication slot: PostgreSQL takes fewer characters here than in other names.
pub(super) fn slot(field: &str, text: &str) -> Result<String, ConfigError> {
    let valid =
        is_identifier(text) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let problem = format!("must be 1 to {IDENTIFIER} lower-case letters, digits and underscores");
    valid.then(|| text.to_owned()).ok_or_else(|| ConfigError::new(field, problem))
}

/// A row that is parked would be missing from its transaction.
pub(super) fn fits_together(
    field: &str,
    consistency: Consistency,
    on_refused_row: OnRefusedRow,
) -> Result<(), ConfigError> {
    let torn = consistency == Consistency::Transaction && on_refused_row == OnRefusedRow::DeadLetter;
    let problem = "must be Halt with consistency Transaction: a row that is parked would be missing from its transaction";
    if torn { Err(ConfigError::new(field, problem)) } else { Ok(()) }
}

/// The selected tables: each once, and no two of them with one target.
pub(super) fn tables<'a>(
    field: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<TableName>, ConfigError> {
    let (mut tables, mut targets) = (Vec::new(), HashSet::new());
    for text in names {
        let table = table(field, text)?;
        if !targets.insert(table.target()) {
            let target = table.target();
            return Err(ConfigError::new(
                field,
                format!("two of the tables have the same target {target:?}"),
            ));
        }
        tables.push(table);
    }
    let counted = (1..=TABLES).contains(&tables.len());
    counted
        .then_some(tables)
        .ok_or_else(|| ConfigError::new(field, format!("must hold 1 to {TABLES} tables")))
}

fn table(field: &str, text: &str) -> Result<TableName, ConfigError> {
    let table =
        TableName::parse(text).filter(|table| is_identifier(&table.schema) && is_identifier(&table.name));
    let table = table.ok_or_else(|| {
        let form = format!("must be schema.name, each part of 1 to {IDENTIFIER} bytes");
        ConfigError::new(field, format!("{:?} {form}", shortened(text)))
    })?;
    if table.name.starts_with("dbmazz_") {
        return Err(ConfigError::new(
            field,
            format!("{table} is a table of dbmazz itself, never replicated"),
        ));
    }
    Ok(table)
}

fn shortened(text: &str) -> String {
    text.chars().take(2 * IDENTIFIER).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tables_with_one_target_are_refused() {
        for list in [vec!["a.b", "public.a__b"], vec!["orders", "public.orders"]] {
            let error = tables("TABLES", list).unwrap_err();
            assert!(error.to_string().contains("same target"), "{error}");
        }
    }

    #[test]
    fn tables_of_dbmazz_itself_are_refused() {
        assert!(tables("TABLES", ["dbmazz_checkpoints"]).is_err());
    }

    #[test]
    fn there_is_at_least_one_table_and_at_most_a_thousand() {
        let many: Vec<String> = (0..1001).map(|table| format!("t{table}")).collect();
        assert!(tables("TABLES", []).is_err());
        assert!(tables("TABLES", many.iter().map(String::as_str)).is_err());
        assert!(tables("TABLES", many[1..].iter().map(String::as_str)).is_ok());
    }

    #[test]
    fn a_slot_is_named_as_postgresql_allows() {
        assert!(slot("S", "dbmazz_slot_1").is_ok());
        for wrong in ["", "Slot", "a-b", "a.b", "ä", &"x".repeat(64)] {
            assert!(slot("S", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_more() {
        for right in ["db", "db_1", "pg-rw.shop.svc", "10.0.0.1", "::1", "fe80::1"] {
            assert!(host("H", right).is_ok(), "{right}");
        }
        for wrong in ["", "a b", "a,b", "/var/run", "[::1]", "a:1", "a@b", &"x".repeat(254)] {
            assert!(host("H", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_are_bounded_on_both_sides() {
        assert_eq!(bytes("f", "1Mi", "1Mi", "1Gi"), Ok(1 << 20));
        assert_eq!(duration("f", "1h", "1ms", "1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["1023Ki", "1025Mi", "1G", "", "-1"] {
            assert!(bytes("f", wrong, "1Mi", "1Gi").is_err(), "{wrong}");
        }
        for wrong in ["0ms", "61m", "5", ""] {
            assert!(duration("f", wrong, "1ms", "1h").is_err(), "{wrong}");
        }
    }
}
