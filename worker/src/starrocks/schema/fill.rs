//! The default of an added column, which StarRocks shows in existing rows.

use std::time::SystemTime;

use super::model::{Filling, Needed};
use crate::{
    change::{Tuple, Value, write_value},
    config::{Deletes, Values},
    lsn::Lsn,
    pipeline::{ColumnSet, Operation, Row},
    starrocks::{
        encode::{Count, Encoder, Plan},
        target::TargetType,
    },
    table::{Column, Fill, Table},
};

/// The filling of the column; none when StarRocks cannot fill it with the source's value.
pub(super) fn filling(table: &Table, needed: &Needed<'_>, values: Values) -> Option<Filling> {
    let Some(column) = table.columns.iter().find(|column| column.name == needed.name) else {
        return Some(Filling::Null); // an audit column
    };
    match &column.fill {
        Fill::Null => Some(Filling::Null),
        Fill::Unknown => None,
        // StarRocks allows no default for these types.
        Fill::Value(_) if matches!(needed.target, TargetType::Json | TargetType::Varbinary) => None,
        Fill::Value(text) => {
            literal(column, text, values).filter(|filling| is_default(filling, needed.target))
        }
    }
}

/// Whether StarRocks accepts the value as a default: not every value that can be loaded is one.
fn is_default(filling: &Filling, target: TargetType) -> bool {
    match (filling, target) {
        (Filling::Null, _) => true,
        (Filling::Text(text), TargetType::Varchar(length)) => text.len() <= length as usize,
        // NaN and the infinities are values of these types, but not literals.
        (Filling::Text(text), TargetType::Float | TargetType::Double) => {
            text.parse::<f64>().is_ok_and(f64::is_finite)
        }
        (Filling::Text(_), _) => true,
    }
}

/// The value as a load would write it, by the same rules.
fn literal(column: &Column, text: &str, values: Values) -> Option<Filling> {
    let alone = Table {
        columns: vec![column.clone()],
        key: Vec::new(),
        ..crate::starrocks::bookkeeping::claim::table()
    };
    let plan = Plan::new(&alone, &ColumnSet::All, Deletes::Soft, values, SystemTime::UNIX_EPOCH);
    let mut bytes = Vec::new();
    write_value(Value::Text(text.as_bytes()), &mut bytes);
    let row = || {
        let values = Tuple::stored(&bytes);
        std::iter::once(Row { operation: Operation::Insert, version: Lsn(0), values })
    };
    Encoder::new(&plan, row()).fill(&mut Count::default(), usize::MAX).ok()?;
    let mut line = Vec::new();
    Encoder::new(&plan, row()).fill(&mut line, usize::MAX).ok()?;
    let line = String::from_utf8(line).ok()?;
    let (value, _) = line.rsplit_once(",\"dbmazz_op_type\"")?;
    written(value.get(serde_json::to_string(&column.name).ok()?.len() + 2..)?)
}

/// The JSON value as a SQL literal. None for a text that needs escapes: a person has to add such a column.
fn written(json: &str) -> Option<Filling> {
    let text = match json {
        "null" => return Some(Filling::Null),
        "true" => "1".to_owned(),
        "false" => "0".to_owned(),
        text if text.starts_with('"') => serde_json::from_str(text).ok()?,
        number => number.to_owned(),
    };
    let is_plain = |letter: char| !letter.is_control() && !matches!(letter, '"' | '\\');
    text.chars().all(is_plain).then_some(Filling::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{TooLong, Unfit},
        starrocks::target::target_type,
        table::Kind,
    };

    fn filled(kind: Kind, fill: Fill) -> Option<Filling> {
        filled_by(Values::default(), kind, fill)
    }

    fn filled_by(values: Values, kind: Kind, fill: Fill) -> Option<Filling> {
        let mut table = crate::starrocks::double::table(&[("id", Kind::BigInt), ("a \"b\"", kind)]);
        table.columns[1].fill = fill;
        let target = target_type(kind, false, values).unwrap();
        filling(&table, &Needed { number: None, name: "a \"b\"", target, key: false }, values)
    }

    #[test]
    fn a_default_is_what_a_load_would_write() {
        for (kind, text, expected) in [
            (Kind::Integer, "-7", "-7"),
            (Kind::Boolean, "t", "1"),
            (Kind::Text, "O'Brien é", "O'Brien é"),
            (Kind::Text, "", ""),
            (Kind::Decimal { precision: 10, scale: 2 }, "1.50", "1.50"),
            (Kind::Date, "2024-02-29", "2024-02-29"),
            (Kind::TimestampTz, "2024-02-29 12:00:00.5+00", "2024-02-29 12:00:00.5"),
        ] {
            let found = filled(kind, Fill::Value(text.to_owned()));
            assert_eq!(found, Some(Filling::Text(expected.to_owned())), "{kind:?} {text}");
        }
    }

    #[test]
    fn what_starrocks_cannot_fill_is_left_to_a_person() {
        for (kind, fill) in [
            (Kind::Integer, Fill::Unknown),
            (Kind::Jsonb, Fill::Value("{}".to_owned())),
            (Kind::Bytes, Fill::Value("\\x00".to_owned())),
            (Kind::Text, Fill::Value("a \"quote\"".to_owned())),
            (Kind::Text, Fill::Value("back\\slash".to_owned())),
            (Kind::Date, Fill::Value("infinity".to_owned())),
            (Kind::Double, Fill::Value("NaN".to_owned())),
            (Kind::Double, Fill::Value("-Infinity".to_owned())),
            (Kind::Real, Fill::Value("Infinity".to_owned())),
            (Kind::ShortText { characters: 1 }, Fill::Value("longer".to_owned())),
            (Kind::Text, Fill::Value("x".repeat((1 << 20) + 1))),
        ] {
            assert_eq!(filled(kind, fill.clone()), None, "{kind:?} {fill:?}");
        }
        assert_eq!(filled(Kind::Jsonb, Fill::Null), Some(Filling::Null));
    }

    #[test]
    fn what_is_no_default_follows_the_job_s_rule_for_such_values() {
        let long = || Fill::Value("x".repeat((1 << 20) + 1));
        for (too_long, expected) in [
            (TooLong::Halt, None),
            (TooLong::Null, Some(Filling::Null)),
            (TooLong::Truncate, Some(Filling::Text("x".repeat(1 << 20)))),
        ] {
            let values = Values { too_long, ..Values::default() };
            assert_eq!(filled_by(values, Kind::Text, long()), expected, "{too_long:?}");
        }
        let values = Values { dates: Unfit::Null, decimals: Unfit::Null, ..Values::default() };
        for (kind, text) in [(Kind::Date, "infinity"), (Kind::Decimal { precision: 9, scale: 2 }, "NaN")] {
            assert_eq!(filled_by(values, kind, Fill::Value(text.to_owned())), Some(Filling::Null), "{text}");
        }
    }
}
