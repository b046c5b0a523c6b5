//! Keys: one order for both sides, and the SQL that asks each side for it.
//!
//! Pure. The type of StarRocks' key column decides the order: numbers by value, dates by time, texts byte by byte.
//! PostgreSQL is asked for the same order: its own for numbers and dates, and that of the bytes (`COLLATE "C"`) for
//! every type that is a text in StarRocks.

use std::fmt;

use super::value::{boolean, dated};
use crate::postgres::sql;

/// The values of a row's key columns, in the order of the target's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(pub(super) Vec<Part>);

/// All parts of one column are of the same variant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    Number(i128),
    /// The year, and the rest of the time as text.
    Moment(i64, String),
    Text(String),
}

/// A key column of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub(super) name: String,
    /// The type's name in PostgreSQL's catalogue.
    pub(super) source_type: String,
    pub(super) order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Boolean,
    Number,
    Moment,
    Text,
}

impl Order {
    /// The order of a StarRocks type; `None` for a type that cannot be a key.
    pub(super) fn of(target_type: &str) -> Option<Self> {
        let lower = target_type.to_ascii_lowercase();
        match lower.split('(').next().unwrap_or_default() {
            "boolean" => Some(Self::Boolean),
            "tinyint" | "smallint" | "int" | "bigint" | "largeint" => Some(Self::Number),
            "date" | "datetime" => Some(Self::Moment),
            "varchar" | "char" | "string" => Some(Self::Text),
            _ => None,
        }
    }
}

impl KeyColumn {
    /// The SQL expression of the key's value in the form of the target.
    pub(super) fn selected(&self) -> String {
        let name = sql::identifier(&self.name);
        match (self.order, self.source_type.as_str()) {
            // 1.0 and 1.00 are the same key, as are 0 and -0.
            (Order::Text, "numeric") => format!("pg_catalog.trim_scale({name})::pg_catalog.text"),
            (Order::Text, "float4" | "float8") => {
                format!("CASE WHEN {name} = 0 THEN '0' ELSE {name}::pg_catalog.text END")
            }
            (Order::Text, "bytea") => format!("pg_catalog.encode({name}, 'hex')"),
            // The cast removes the padding blanks.
            (Order::Text, "bpchar") => format!("{name}::pg_catalog.text"),
            // The output of the type, as in the stream: some casts differ, `inet` adds /32 to a host.
            (Order::Text, _) => format!("pg_catalog.format('%s', {name})"),
            _ => name,
        }
    }

    pub(super) fn ordered(&self) -> String {
        match self.order {
            Order::Text => format!("({}) COLLATE \"C\"", self.selected()),
            _ => self.selected(),
        }
    }

    /// `None` for a text that is not valid for the column's order.
    pub(super) fn read(&self, text: &str) -> Option<Part> {
        match self.order {
            Order::Boolean => boolean(text.as_bytes()).map(|truth| Part::Number(i128::from(truth))),
            Order::Number => text.parse().ok().map(Part::Number),
            Order::Moment => dated(text).map(|(year, rest)| Part::Moment(year, rest)),
            Order::Text => Some(Part::Text(text.to_owned())),
        }
    }

    /// The SQL condition that a source row has this part.
    pub(super) fn equals_at_source(&self, part: &Part) -> String {
        let literal = sql::literal(&part.source_text(self.order));
        match self.order {
            Order::Text => format!("({}) COLLATE \"C\" = {literal}", self.selected()),
            _ => format!("{} = {literal}", sql::identifier(&self.name)),
        }
    }
}

impl Part {
    fn source_text(&self, order: Order) -> String {
        match self {
            Self::Number(number) if order == Order::Boolean => (*number != 0).to_string(),
            Self::Number(number) => number.to_string(),
            Self::Moment(i64::MIN, _) => "-infinity".to_owned(),
            Self::Moment(i64::MAX, _) => "infinity".to_owned(),
            Self::Moment(year, rest) if *year < 1 => format!("{:04}{rest} BC", 1 - year),
            Self::Moment(year, rest) => format!("{year:04}{rest}"),
            Self::Text(text) => text.clone(),
        }
    }

    /// As a literal of StarRocks.
    pub(super) fn at_sink(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Moment(year, rest) => format!("'{year:04}{rest}'"),
            Self::Text(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            // Quoted, so that a key cannot look like another line of the report.
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Moment(..) => f.write_str(&self.source_text(Order::Moment)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(order: Order, source_type: &str) -> KeyColumn {
        KeyColumn { name: "k".into(), source_type: source_type.into(), order }
    }

    #[test]
    fn parts_are_ordered_as_both_servers_order_them() {
        for (order, ascending) in [
            (Order::Boolean, &["f", "t"][..]),
            (Order::Number, &["-10", "-9", "0", "9", "10", "18446744073709551615"]),
            (
                Order::Moment,
                &[
                    "-infinity",
                    "0044-03-15 BC",
                    "0001-01-01 BC",
                    "0001-01-01",
                    "2026-01-02",
                    "2026-01-02 00:00:00.000001",
                    "2026-01-02 00:00:00.45",
                    "2026-01-02 00:00:00.5",
                    "2026-01-02 00:00:01+00",
                    "10000-01-01",
                    "infinity",
                ],
            ),
            (Order::Text, &["", " ", "B", "a", "a ", "aa", "é", "中"]),
        ] {
            let column = column(order, "");
            let parts: Vec<_> = ascending.iter().map(|text| column.read(text).unwrap()).collect();
            assert!(parts.is_sorted_by(|one, next| one < next), "{parts:?}");
        }
    }

    #[test]
    fn a_text_at_the_target_is_ordered_by_bytes_at_the_source() {
        assert_eq!(column(Order::Text, "uuid").ordered(), "(pg_catalog.format('%s', \"k\")) COLLATE \"C\"");
        assert_eq!(column(Order::Number, "int8").ordered(), "\"k\"");
        let equals = column(Order::Text, "text").equals_at_source(&Part::Text("it's \\".into()));
        assert_eq!(equals, "(pg_catalog.format('%s', \"k\")) COLLATE \"C\" =  E'it''s \\\\'");
    }

    #[test]
    fn a_part_is_written_as_each_side_reads_it() {
        let moment = |text| column(Order::Moment, "date").read(text).unwrap();
        assert_eq!(moment("0001-01-01 BC").source_text(Order::Moment), "0001-01-01 BC");
        assert_eq!(moment("0001-01-01 BC").at_sink(), "'0000-01-01'");
        assert_eq!(Part::Text("it's \\".into()).at_sink(), "'it''s \\\\'");
        assert_eq!(Part::Number(1).source_text(Order::Boolean), "true");
    }

    #[test]
    fn a_key_in_a_report_stays_on_its_line() {
        assert_eq!(Part::Text("a\n\u{1b}[2J".into()).to_string(), "\"a\\n\\u{1b}[2J\"");
    }
}
