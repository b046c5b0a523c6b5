//! Chooses the StarRocks type that holds a source type without loss.
//!
//! Key columns have rules of their own: StarRocks allows few types as keys, and two spellings that are equal in
//! PostgreSQL must not become two keys.

use super::{LONGEST_KEY, LONGEST_TEXT, TargetType};
use crate::{
    config::{Unfit, Values},
    table::Kind,
};

/// The target type of a source column; none for a key column whose type cannot be a key.
pub(crate) fn target_type(kind: Kind, key: bool, values: Values) -> Option<TargetType> {
    if key { key_type(kind) } else { Some(value_type(kind, values)) }
}

fn value_type(kind: Kind, values: Values) -> TargetType {
    let unless = |rule, target| if rule == Unfit::Text { TargetType::Varchar(LONGEST_TEXT) } else { target };
    match kind {
        Kind::Boolean => TargetType::Boolean,
        Kind::SmallInt => TargetType::SmallInt,
        Kind::Integer => TargetType::Int,
        Kind::BigInt => TargetType::BigInt,
        Kind::Unsigned64 => TargetType::LargeInt,
        Kind::Real => TargetType::Float,
        Kind::Double => TargetType::Double,
        Kind::Decimal { precision, scale } => unless(values.decimals, decimal_type(precision, scale)),
        Kind::Money => TargetType::Decimal { precision: 19, scale: 2 },
        Kind::Numeric | Kind::Text | Kind::Opaque => TargetType::Varchar(LONGEST_TEXT),
        Kind::ShortText { characters } | Kind::PaddedText { characters } => text_of(characters),
        Kind::Bytes => TargetType::Varbinary,
        Kind::Date => unless(values.dates, TargetType::Date),
        Kind::Timestamp | Kind::TimestampTz => unless(values.dates, TargetType::DateTime),
        Kind::Json | Kind::Jsonb | Kind::Array { .. } | Kind::Hstore => unless(values.json, TargetType::Json),
    }
}

/// A scale may be negative (`numeric(3,-2)` holds 12300) or beyond the precision (`numeric(2,4)` holds 0.0012).
fn decimal_type(precision: u16, scale: i16) -> TargetType {
    let places = i32::from(scale).max(0);
    let whole = (i32::from(precision) - i32::from(scale)).max(0);
    match (u8::try_from(whole + places), u8::try_from(places)) {
        (Ok(precision @ 1..=38), Ok(scale)) => TargetType::Decimal { precision, scale },
        _ => TargetType::Varchar(LONGEST_TEXT),
    }
}

// A character takes at most four bytes in UTF-8.
fn text_of(characters: u32) -> TargetType {
    TargetType::Varchar(characters.saturating_mul(4).clamp(1, LONGEST_TEXT))
}

/// Numbers that StarRocks does not allow as keys are stored as text, in the canonical spelling of [`Kind::key_text`].
pub(crate) fn key_type(kind: Kind) -> Option<TargetType> {
    let text = |bytes: u32| Some(TargetType::Varchar(bytes.clamp(1, LONGEST_KEY)));
    match kind {
        Kind::Opaque | Kind::Json | Kind::Jsonb | Kind::Array { .. } | Kind::Hstore => None,
        Kind::Decimal { precision, scale } => Some(decimal_key(precision, scale)),
        Kind::Real | Kind::Double | Kind::Money => text(32),
        Kind::Numeric | Kind::Text | Kind::Bytes => text(LONGEST_KEY),
        Kind::ShortText { characters } | Kind::PaddedText { characters } => {
            text(characters.saturating_mul(4))
        }
        Kind::Boolean
        | Kind::SmallInt
        | Kind::Integer
        | Kind::BigInt
        | Kind::Unsigned64
        | Kind::Date
        | Kind::Timestamp
        | Kind::TimestampTz => Some(value_type(kind, Values::default())),
    }
}

fn decimal_key(precision: u16, scale: i16) -> TargetType {
    let whole = i32::from(precision) - i32::from(scale);
    match whole {
        ..=18 if scale <= 0 => TargetType::BigInt,
        ..=38 if scale <= 0 => TargetType::LargeInt,
        // Three more for a sign, a point, and a zero before it.
        _ => {
            let digits = whole.max(0).unsigned_abs() + scale.max(0).unsigned_abs() as u32;
            TargetType::Varchar((digits + 3).min(LONGEST_KEY))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Element;

    fn of(kind: Kind, key: bool) -> String {
        target_type(kind, key, Values::default())
            .map_or_else(|| "refused".to_owned(), |target| target.to_string())
    }

    #[test]
    fn every_kind_has_its_types_as_value_and_as_key() {
        let decimal = |precision, scale| Kind::Decimal { precision, scale };
        let array = Kind::Array { element: Element::Integer, delimiter: b',' };
        for (kind, value, key) in [
            (Kind::Boolean, "BOOLEAN", "BOOLEAN"),
            (Kind::SmallInt, "SMALLINT", "SMALLINT"),
            (Kind::Integer, "INT", "INT"),
            (Kind::BigInt, "BIGINT", "BIGINT"),
            (Kind::Unsigned64, "LARGEINT", "LARGEINT"),
            (Kind::Real, "FLOAT", "VARCHAR(32)"),
            (Kind::Double, "DOUBLE", "VARCHAR(32)"),
            (decimal(10, 2), "DECIMAL(10,2)", "VARCHAR(13)"),
            (decimal(18, 0), "DECIMAL(18,0)", "BIGINT"),
            (decimal(38, 0), "DECIMAL(38,0)", "LARGEINT"),
            (decimal(39, 0), "VARCHAR(1048576)", "VARCHAR(42)"),
            (decimal(3, -2), "DECIMAL(5,0)", "BIGINT"),
            (decimal(2, 4), "DECIMAL(4,4)", "VARCHAR(7)"),
            (decimal(2, 39), "VARCHAR(1048576)", "VARCHAR(42)"),
            (decimal(1000, -1000), "VARCHAR(1048576)", "VARCHAR(128)"),
            (Kind::Numeric, "VARCHAR(1048576)", "VARCHAR(128)"),
            (Kind::Money, "DECIMAL(19,2)", "VARCHAR(32)"),
            (Kind::Text, "VARCHAR(1048576)", "VARCHAR(128)"),
            (Kind::ShortText { characters: 9 }, "VARCHAR(36)", "VARCHAR(36)"),
            (Kind::ShortText { characters: 255 }, "VARCHAR(1020)", "VARCHAR(128)"),
            (Kind::ShortText { characters: u32::MAX }, "VARCHAR(1048576)", "VARCHAR(128)"),
            (Kind::PaddedText { characters: 5 }, "VARCHAR(20)", "VARCHAR(20)"),
            (Kind::Date, "DATE", "DATE"),
            (Kind::Timestamp, "DATETIME", "DATETIME"),
            (Kind::TimestampTz, "DATETIME", "DATETIME"),
            (Kind::Bytes, "VARBINARY", "VARCHAR(128)"),
            (Kind::Opaque, "VARCHAR(1048576)", "refused"),
            (Kind::Json, "JSON", "refused"),
            (Kind::Jsonb, "JSON", "refused"),
            (Kind::Hstore, "JSON", "refused"),
            (array, "JSON", "refused"),
        ] {
            assert_eq!((of(kind, false).as_str(), of(kind, true).as_str()), (value, key), "{kind:?}");
        }
    }

    #[test]
    fn a_rule_may_ask_for_text_in_place_of_a_type_that_is_too_narrow_and_keys_stay() {
        let values =
            Values { dates: Unfit::Text, decimals: Unfit::Text, json: Unfit::Text, ..Values::default() };
        let text = Some(TargetType::Varchar(LONGEST_TEXT));
        let decimal = Kind::Decimal { precision: 10, scale: 2 };
        for kind in [Kind::Date, Kind::Timestamp, Kind::TimestampTz, decimal, Kind::Json, Kind::Hstore] {
            assert_eq!(target_type(kind, false, values), text, "{kind:?}");
            assert_eq!(
                target_type(kind, true, values),
                target_type(kind, true, Values::default()),
                "{kind:?}"
            );
        }
        assert_eq!(target_type(Kind::Double, false, values), Some(TargetType::Double));
    }
}
