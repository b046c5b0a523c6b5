//! The representation of a column's values: the type with its modifier, the labels of enums, the attributes of
//! composites.
//!
//! Pure. When one of these changes, PostgreSQL changes the values of earlier rows and sends none of them. So the
//! representation with which a target's rows were written is recorded in the schema history, and compared with what the
//! catalogue shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The representation as the catalogue shows it, with domains and one array resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Representation {
    /// The base type; for an array that of its elements.
    pub oid: u32,
    /// `atttypmod`; -1 for none.
    pub modifier: i32,
    pub array: bool,
    /// The declared type in SQL's words, for messages.
    pub declared: String,
    /// Enum labels and composite attributes that the type contains, by an identifier that a rename does not change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, String>,
    /// The expression of a generated column that is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// How the values of earlier rows changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Trailing zeros of a fraction, or padding blanks: the text changed, and the value did not.
    Spelling,
    /// Values changed, in a way that cannot be derived.
    Values,
}

const SMALLINT: u32 = 21;
const INTEGER: u32 = 23;
const BIGINT: u32 = 20;
const TEXT: u32 = 25;
const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const TIME: u32 = 1083;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;
const INTERVAL: u32 = 1186;
const TIMETZ: u32 = 1266;
const VARBIT: u32 = 1562;
const NUMERIC: u32 = 1700;

/// The most digits of a second.
const MOST_PLACES: i32 = 6;

impl Representation {
    /// How values that were written with `self` changed in a column that has `now`; `None` when they did not change.
    pub fn changed_to(&self, now: &Self) -> Option<Difference> {
        if self.array != now.array || self.parts_differ(now) || self.is_computed_otherwise(now) {
            return Some(Difference::Values);
        }
        if self.oid != now.oid {
            return (!is_widened(self, now)).then_some(Difference::Values);
        }
        modified(self.oid, self.modifier, now.modifier)
    }

    /// An added label changes no row; an added attribute changes the text of all.
    fn parts_differ(&self, now: &Self) -> bool {
        self.parts.iter().any(|(part, was)| now.parts.get(part) != Some(was))
    }

    fn is_computed_otherwise(&self, now: &Self) -> bool {
        now.expression.is_some() && self.expression != now.expression
    }
}

/// Whether the types differ and every value is as it was.
fn is_widened(then: &Representation, now: &Representation) -> bool {
    match (then.oid, now.oid) {
        (SMALLINT, INTEGER | BIGINT) | (INTEGER, BIGINT) | (VARCHAR, TEXT) => true,
        (TEXT, VARCHAR) => now.modifier == -1,
        _ => false,
    }
}

/// How a change of a type's modifier changes values.
fn modified(oid: u32, then: i32, now: i32) -> Option<Difference> {
    if then == now || now == -1 {
        return None;
    }
    match oid {
        TIME | TIMETZ | TIMESTAMP | TIMESTAMPTZ => unless(places(now) >= places(then)),
        INTERVAL => unless(holds_interval(then, now)),
        VARCHAR | VARBIT => unless(then != -1 && now > then),
        BPCHAR if then != -1 && now > then => Some(Difference::Spelling),
        NUMERIC => numeric(then, now),
        // The modifier of any other type has an unknown meaning.
        _ => Some(Difference::Values),
    }
}

fn unless(harmless: bool) -> Option<Difference> {
    (!harmless).then_some(Difference::Values)
}

fn places(modifier: i32) -> i32 {
    if modifier < 0 { MOST_PLACES } else { modifier.min(MOST_PLACES) }
}

/// The upper half of an interval's modifier has the fields, the lower half the number of places; all ones stand for all.
fn holds_interval(then: i32, now: i32) -> bool {
    const ALL_FIELDS: i32 = 0x7FFF;
    let fields = |modifier: i32| if modifier < 0 { ALL_FIELDS } else { modifier >> 16 & ALL_FIELDS };
    let places = |modifier: i32| if modifier < 0 { MOST_PLACES } else { places(modifier & 0xFFFF) };
    let same_fields = fields(now) == fields(then) || fields(now) == ALL_FIELDS;
    same_fields && places(now) >= places(then)
}

fn numeric(then: i32, now: i32) -> Option<Difference> {
    if then == -1 {
        return Some(Difference::Values);
    }
    let ((digits, places), (more_digits, more_places)) = (numeric_size(then), numeric_size(now));
    if more_places < places || more_digits - more_places < digits - places {
        return Some(Difference::Values);
    }
    (more_places > places).then_some(Difference::Spelling)
}

/// Precision and scale. The scale has eleven bits with a sign.
fn numeric_size(modifier: i32) -> (i32, i32) {
    let bits = modifier.saturating_sub(4).max(0);
    (bits >> 16, ((bits & 0x7FF) ^ 1024) - 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(oid: u32, modifier: i32) -> Representation {
        Representation { oid, modifier, ..Representation::default() }
    }

    fn size(precision: i32, scale: i32) -> i32 {
        (precision << 16 | scale & 0x7FF) + 4
    }

    #[test]
    fn a_modifier_tells_what_became_of_earlier_rows() {
        let (spelling, values) = (Some(Difference::Spelling), Some(Difference::Values));
        let fields = |fields: i32, places: i32| fields << 16 | places;
        for (oid, then, now, expected) in [
            (TIMESTAMP, -1, 0, values),
            (TIMESTAMP, -1, 6, None),
            (TIMESTAMPTZ, 6, 3, values),
            (TIME, 3, 6, None),
            (TIMETZ, 3, -1, None),
            (INTERVAL, -1, fields(0x7FFF, 0), values),
            (INTERVAL, fields(0x7FFF, 0), -1, None),
            (INTERVAL, fields(0x7FFF, 3), fields(0x7FFF, 6), None),
            (INTERVAL, -1, fields(0x7FFF, 6), None),
            (INTERVAL, fields(0x1000, 0xFFFF), fields(0x400, 0xFFFF), values),
            (INTERVAL, fields(0x1000, 0xFFFF), fields(0x7FFF, 0xFFFF), None),
            (VARCHAR, 24, 44, None),
            (VARCHAR, 44, 24, values),
            (VARCHAR, -1, 24, values),
            (VARCHAR, 24, -1, None),
            (BPCHAR, 5, 9, spelling),
            (BPCHAR, 9, 5, values),
            (1560, 4, 8, values),
            (VARBIT, 4, 8, None),
            (VARBIT, 8, 4, values),
            (NUMERIC, size(12, 2), size(14, 2), None),
            (NUMERIC, size(12, 2), size(14, 4), spelling),
            (NUMERIC, size(12, 2), size(12, 4), values),
            (NUMERIC, size(12, 2), size(12, 1), values),
            (NUMERIC, size(12, 2), -1, None),
            (NUMERIC, -1, size(38, 2), values),
            (NUMERIC, size(3, -2), size(5, 0), spelling),
            (99_999, 3, 4, values),
            (99_999, 3, 3, None),
        ] {
            assert_eq!(of(oid, then).changed_to(&of(oid, now)), expected, "{oid} {then} {now}");
        }
    }

    #[test]
    fn another_type_is_other_values_unless_it_is_known_to_be_wider() {
        for (then, now, same) in [
            (SMALLINT, BIGINT, true),
            (INTEGER, BIGINT, true),
            (BIGINT, INTEGER, false),
            (VARCHAR, TEXT, true),
            (TEXT, VARCHAR, true),
            (BPCHAR, TEXT, false),
            (TIMESTAMP, TIMESTAMPTZ, false),
            (16_384, 16_400, false),
        ] {
            assert_eq!(of(then, -1).changed_to(&of(now, -1)).is_none(), same, "{then} {now}");
        }
        assert!(of(TEXT, -1).changed_to(&of(VARCHAR, 14)).is_some());
        let array = Representation { array: true, ..of(INTEGER, -1) };
        assert!(array.changed_to(&of(INTEGER, -1)).is_some());
    }

    #[test]
    fn a_part_that_is_renamed_or_gone_changes_rows_and_one_that_is_added_does_not() {
        let with = |parts: &[(&str, &str)]| Representation {
            parts: parts.iter().map(|(part, text)| ((*part).to_owned(), (*text).to_owned())).collect(),
            ..of(16_384, -1)
        };
        let then = with(&[("1", "draft"), ("2", "sent")]);
        assert_eq!(then.changed_to(&with(&[("1", "draft"), ("2", "sent"), ("3", "lost")])), None);
        assert!(then.changed_to(&with(&[("1", "new"), ("2", "sent")])).is_some());
        assert!(then.changed_to(&with(&[("1", "draft")])).is_some());
    }

    #[test]
    fn an_expression_that_is_another_has_computed_all_rows_anew() {
        let with =
            |text: Option<&str>| Representation { expression: text.map(str::to_owned), ..of(INTEGER, -1) };
        assert_eq!(with(Some("a * 2")).changed_to(&with(Some("a * 2"))), None);
        assert_eq!(with(Some("a * 2")).changed_to(&with(None)), None);
        assert!(with(Some("a * 2")).changed_to(&with(Some("a * 3"))).is_some());
    }
}
