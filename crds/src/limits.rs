//! The valid values of fields: the same rules for the operator, which refuses a resource, and for the worker, which
//! refuses a job description or a variable. The schema has them too, as far as a schema can express them.

use std::{
    collections::HashSet, fmt, fmt::Display, net::Ipv6Addr, ops::RangeInclusive, str::FromStr, time::Duration,
};

use crate::{
    measure,
    spec::{Consistency, OnRefusedRow, SnapshotMode},
};

/// Rows of a chunk of a copy.
pub const CHUNK_ROWS: RangeInclusive<u64> = 1..=100_000_000;
/// Tables that are copied at once.
pub const PARALLELISM: RangeInclusive<u64> = 1..=16;
/// Rows of one load.
pub const ROWS: RangeInclusive<usize> = 1..=10_000_000;
/// A valid port number.
pub const PORT: RangeInclusive<u16> = 1..=u16::MAX;

const TABLES: usize = 1000;
/// PostgreSQL truncates longer names silently (`NAMEDATALEN`).
const IDENTIFIER: usize = 63;
const NAME: usize = 256;
const HOST: usize = 253;
const REQUEST: usize = 64;

/// An invalid field or variable, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub field: String,
    pub problem: String,
}

impl Wrong {
    fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: field.to_owned(), problem: problem.into() }
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl std::error::Error for Wrong {}

/// A whole number within bounds.
pub fn number<T>(field: &str, text: &str, bounds: RangeInclusive<T>) -> Result<T, Wrong>
where
    T: FromStr + PartialOrd + Display,
{
    let number = text.trim().parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| {
        Wrong::new(field, format!("must be a whole number from {} to {}", bounds.start(), bounds.end()))
    })
}

/// An amount of bytes, such as `16Mi`, within bounds that are written the same way.
pub fn bytes(field: &str, text: &str, low: &str, high: &str) -> Result<usize, Wrong> {
    let bounds = measure::bytes(low)..=measure::bytes(high);
    let bytes = measure::bytes(text).filter(|bytes| bounds.contains(&Some(*bytes)));
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
        let form = "a whole number of bytes, alone or with Ki, Mi or Gi";
        Wrong::new(field, format!("must be {form}, from {low} to {high}"))
    })
}

/// A backlog in bytes; `None` for `Never`.
pub fn catch_up(field: &str, text: &str) -> Result<Option<u64>, Wrong> {
    if text == "Never" {
        return Ok(None);
    }
    bytes(field, text, "0", "1024Gi")
        .map(|bytes| Some(bytes as u64))
        .map_err(|wrong| Wrong::new(field, format!("{}, or Never", wrong.problem)))
}

/// A duration, such as `500ms`, within bounds that are written the same way.
pub fn duration(field: &str, text: &str, low: &str, high: &str) -> Result<Duration, Wrong> {
    let bounds = measure::duration(low)..=measure::duration(high);
    measure::duration(text).filter(|duration| bounds.contains(&Some(*duration))).ok_or_else(|| {
        Wrong::new(field, format!("must be a whole number with ms, s, m or h, from {low} to {high}"))
    })
}

/// A host name or an address, without port and without brackets.
pub fn host(field: &str, text: &str) -> Result<String, Wrong> {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let named = !text.is_empty() && text.len() <= HOST && text.bytes().all(name);
    let valid = named || text.parse::<Ipv6Addr>().is_ok();
    valid.then(|| text.to_owned()).ok_or_else(|| Wrong::new(field, "must hold one host name or address"))
}

/// A name whose validity the other system decides: only what cannot be a name at all is refused here.
pub fn name(field: &str, text: &str) -> Result<String, Wrong> {
    let valid = !text.is_empty() && text.len() <= NAME && !text.chars().any(char::is_control);
    let problem = format!("must be a name of 1 to {NAME} bytes without control characters");
    valid.then(|| text.to_owned()).ok_or_else(|| Wrong::new(field, problem))
}

/// A name of an object in PostgreSQL.
pub fn identifier(field: &str, text: &str) -> Result<String, Wrong> {
    let problem = format!("must be a name of 1 to {IDENTIFIER} bytes without control characters");
    is_identifier(text).then(|| text.to_owned()).ok_or_else(|| Wrong::new(field, problem))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= IDENTIFIER && !text.chars().any(char::is_control)
}

/// A replication slot: PostgreSQL allows fewer characters here than in other names.
pub fn slot(field: &str, text: &str) -> Result<String, Wrong> {
    let valid =
        is_identifier(text) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let problem = format!("must be 1 to {IDENTIFIER} lower-case letters, digits and underscores");
    valid.then(|| text.to_owned()).ok_or_else(|| Wrong::new(field, problem))
}

/// With `consistency: Transaction` a dead letter would be missing from its transaction.
pub fn fits_together(
    field: &str,
    consistency: Consistency,
    on_refused_row: OnRefusedRow,
) -> Result<(), Wrong> {
    let torn = consistency == Consistency::Transaction && on_refused_row == OnRefusedRow::DeadLetter;
    let problem =
        "must be Halt with consistency Transaction: a dead letter would be missing from its transaction";
    if torn { Err(Wrong::new(field, problem)) } else { Ok(()) }
}

/// The selected tables, as schema and name: no duplicates, and no two with the same target.
pub fn tables<'a>(
    field: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<(&'a str, &'a str)>, Wrong> {
    let (mut tables, mut targets) = (Vec::new(), HashSet::new());
    for text in names {
        let (schema, name) = table(field, text)?;
        let target = target(schema, name);
        if targets.contains(&target) {
            return Err(Wrong::new(field, format!("two of the tables have the same target {target:?}")));
        }
        targets.insert(target);
        tables.push((schema, name));
    }
    let counted = (1..=TABLES).contains(&tables.len());
    counted.then_some(tables).ok_or_else(|| Wrong::new(field, format!("must hold 1 to {TABLES} tables")))
}

/// The name of a request for a copy, which a job that ends by itself cannot take up.
pub fn request(field: &str, text: &str, mode: SnapshotMode) -> Result<(), Wrong> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    if text.len() > REQUEST || !text.bytes().all(allowed) {
        let form = format!("must be made of at most {REQUEST} letters, digits and the characters . _ : -");
        return Err(Wrong::new(field, form));
    }
    let ends = mode == SnapshotMode::Only && !text.is_empty();
    let problem = "cannot be set with mode Only, which ends: create another ReplicationJob";
    if ends { Err(Wrong::new(field, problem)) } else { Ok(()) }
}

/// The tables of a request for a copy.
pub fn requested<'a>(
    field: &str,
    names: impl IntoIterator<Item = &'a str>,
    request: &str,
) -> Result<(), Wrong> {
    let names: Vec<_> = names.into_iter().collect();
    match (names.is_empty(), request.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => Err(Wrong::new(field, "needs spec.snapshot.request")),
        (false, false) => tables(field, names).map(|_| ()),
    }
}

fn table<'a>(field: &str, text: &'a str) -> Result<(&'a str, &'a str), Wrong> {
    let (schema, name) = text.split_once('.').unwrap_or(("public", text));
    if !is_identifier(schema) || !is_identifier(name) {
        let form = format!("must be schema.name, each part of 1 to {IDENTIFIER} bytes");
        return Err(Wrong::new(field, format!("{:?} {form}", shortened(text))));
    }
    if name.starts_with("dbmazz_") {
        let problem = format!("{schema}.{name} is a table of dbmazz itself, never replicated");
        return Err(Wrong::new(field, problem));
    }
    Ok((schema, name))
}

/// The name of the target table, which contains the schema unless it is `public`, so that schemas do not collide.
pub fn target(schema: &str, name: &str) -> String {
    if schema == "public" { name.to_owned() } else { format!("{schema}__{name}") }
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
            let wrong = tables("TABLES", list).unwrap_err();
            assert!(wrong.to_string().contains("same target"), "{wrong}");
        }
    }

    #[test]
    fn tables_of_dbmazz_itself_are_refused() {
        assert!(tables("TABLES", ["dbmazz_checkpoints"]).is_err());
    }

    #[test]
    fn names_are_measured_in_bytes_and_hold_no_control_characters() {
        let long = format!("public.{}", "\u{e9}".repeat(32));
        for wrong in [long.as_str(), "public.a\u{7f}b", "public.a\u{1}", ".t", "s.", ""] {
            assert!(tables("TABLES", [wrong]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn there_is_at_least_one_table_and_at_most_a_thousand() {
        let many: Vec<String> = (0..1001).map(|table| format!("t{table}")).collect();
        assert!(tables("TABLES", []).is_err());
        assert!(tables("TABLES", many.iter().map(String::as_str)).is_err());
        assert!(tables("TABLES", many[1..].iter().map(String::as_str)).is_ok());
    }

    #[test]
    fn a_request_has_a_name_and_a_job_that_goes_on() {
        let named = |text: &str| request("R", text, SnapshotMode::Initial);
        assert!(named("").is_ok() && named("2026-11-27T10:00:00Z").is_ok());
        for wrong in ["a b", "\u{e9}", "a\n", &"x".repeat(65)] {
            assert!(named(wrong).is_err(), "{wrong:?}");
        }
        assert!(
            request("R", "", SnapshotMode::Only).is_ok() && request("R", "a", SnapshotMode::Only).is_err()
        );
        assert!(requested("T", ["a.b"], "a").is_ok() && requested("T", [], "").is_ok());
        assert!(requested("T", ["a.b"], "").is_err() && requested("T", ["a.b", "a.b"], "a").is_err());
    }

    #[test]
    fn a_slot_is_named_as_postgresql_allows() {
        assert!(slot("S", "dbmazz_slot_1").is_ok());
        for wrong in ["", "Slot", "a-b", "a.b", "\u{e4}", &"x".repeat(64)] {
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
