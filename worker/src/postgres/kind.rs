//! Maps PostgreSQL's types to kinds of the target.
//!
//! In: type oid and type modifier, as the catalogue and pgoutput give them. Out: the [`Kind`]. A type without a kind of
//! its own is replicated as its text, which loses nothing.

use crate::table::{Element, Kind};

const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const NUMERIC: u32 = 1700;

/// Types with a lower oid are built into PostgreSQL, and are the same on every server.
const FIRST_UNPINNED_OID: u32 = 10_000;

/// Longest label of an enum, and longest `name`, in characters.
pub(super) const NAME_CHARACTERS: u32 = 63;

/// The kind of a type that is built into PostgreSQL; `None` for a type that the database defines.
pub(super) fn builtin(oid: u32, typmod: i32) -> Option<Kind> {
    let short = |characters| Kind::ShortText { characters };
    let known = match oid {
        16 => Kind::Boolean,
        21 => Kind::SmallInt,
        23 => Kind::Integer,
        20 | 26 | 28 | 29 => Kind::BigInt, // bigint, oid, xid, cid
        5069 => Kind::Unsigned64,          // xid8
        700 => Kind::Real,
        701 => Kind::Double,
        NUMERIC => numeric(typmod),
        790 => Kind::Money,
        25 | 142 => Kind::Text, // text, xml
        VARCHAR => sized(typmod, 4).map_or(Kind::Text, short),
        BPCHAR => sized(typmod, 4).map_or(Kind::Text, |characters| Kind::PaddedText { characters }),
        1560 | 1562 => sized(typmod, 0).map_or(Kind::Text, short), // bit, varbit
        18 => short(4), // "char": one byte, written as \ooo when it is not ASCII
        19 => short(NAME_CHARACTERS),
        2950 => short(36),      // uuid
        650 | 869 => short(50), // cidr, inet: IPv6 with an embedded IPv4 and a prefix length
        829 => short(17),       // macaddr
        774 => short(23),       // macaddr8
        3220 => short(17),      // pg_lsn
        27 => short(20),        // tid
        1083 => short(15),      // time
        1266 => short(32),      // timetz
        1186 => short(80),      // interval in ISO 8601, every field at its longest
        1082 => Kind::Date,
        1114 => Kind::Timestamp,
        1184 => Kind::TimestampTz,
        17 => Kind::Bytes,
        114 => Kind::Json,
        3802 => Kind::Jsonb,
        FIRST_UNPINNED_OID.. => return None,
        _ => element_of_builtin(oid).unwrap_or(Kind::Opaque),
    };
    Some(known)
}

/// The kind of an array that is built into PostgreSQL.
fn element_of_builtin(array: u32) -> Option<Kind> {
    let element = match array {
        1000 => Element::Boolean,
        1005 | 1007 | 1016 | 1028 | 1011 | 1012 | 271 => Element::Integer,
        1021 | 1022 => Element::Float,
        199 | 3807 => Element::Json,
        array if TEXT_ARRAYS.contains(&array) => Element::Text,
        _ => return None,
    };
    let delimiter = if array == BOX_ARRAY { b';' } else { b',' };
    Some(Kind::Array { element, delimiter })
}

const BOX_ARRAY: u32 = 1020;
/// Arrays whose elements are written as strings, by their oid.
const TEXT_ARRAYS: [u32; 70] = [
    143, 210, 270, 272, 273, 629, 651, 719, 775, 791, 1001, 1002, 1003, 1006, 1008, 1009, 1010, 1013, 1014,
    1015, 1017, 1018, 1019, BOX_ARRAY, 1027, 1034, 1040, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 1263,
    1270, 1561, 1563, 2201, 2207, 2208, 2209, 2210, 2211, 2287, 2949, 2951, 3221, 3643, 3644, 3645, 3735,
    3770, 3905, 3907, 3909, 3911, 3913, 3927, 4073, 4090, 4097, 4192, 5039, 6150, 6151, 6152, 6153, 6155,
    6157,
];

/// How elements of this type are written in JSON.
pub(super) fn element(oid: u32) -> Element {
    match oid {
        16 => Element::Boolean,
        20 | 21 | 23 | 26 | 28 | 29 | 5069 => Element::Integer,
        700 | 701 => Element::Float,
        114 | 3802 => Element::Json,
        _ => Element::Text,
    }
}

/// The length in a modifier, which includes `header` bytes; `None` when there is no limit.
fn sized(typmod: i32, header: i32) -> Option<u32> {
    u32::try_from(typmod.checked_sub(header)?).ok().filter(|length| *length > 0)
}

fn numeric(typmod: i32) -> Kind {
    let Some(bits) = sized(typmod, 4) else { return Kind::Numeric };
    // Eleven bits with a sign; before PostgreSQL 15 the sign was never set.
    let scale = ((bits & 0x7FF) ^ 1024) as i16 - 1024;
    Kind::Decimal { precision: (bits >> 16) as u16, scale }
}

/// Whether every value of `narrow`, as text, is also one of `wide` with the same meaning.
///
/// After `ALTER TABLE … TYPE varchar(40)` the stream still holds rows of `varchar(20)`.
pub(super) fn fits(narrow: Kind, wide: Kind) -> bool {
    use Kind::{Array, BigInt, Decimal, Integer, Numeric, Opaque, PaddedText, ShortText, SmallInt, Text};
    match (narrow, wide) {
        // Text in a nondeterministic collation, and arrays of a later PostgreSQL: only the catalogue tells these.
        (Text | ShortText { .. } | PaddedText { .. }, Opaque)
        | (Opaque, Array { .. })
        | (SmallInt, Integer | BigInt)
        | (Integer, BigInt)
        | (ShortText { .. }, Text)
        | (Decimal { .. }, Numeric) => true,
        (ShortText { characters }, ShortText { characters: limit })
        | (PaddedText { characters }, PaddedText { characters: limit }) => characters <= limit,
        (Decimal { precision, scale }, Decimal { precision: digits, scale: places }) => {
            let whole = |precision: u16, scale: i16| i32::from(precision) - i32::from(scale);
            scale <= places && whole(precision, scale) <= whole(digits, places)
        }
        (narrow, wide) => narrow == wide,
    }
}

/// Whether the kinds differ only in the length or the digits of their values.
pub(super) fn is_of_one_family(one: Kind, other: Kind) -> bool {
    use Kind::{Decimal, Numeric, PaddedText, ShortText, Text};
    matches!(
        (one, other),
        (Text | ShortText { .. }, Text | ShortText { .. }) | (PaddedText { .. }, PaddedText { .. })
    ) || matches!((one, other), (Decimal { .. } | Numeric, Decimal { .. } | Numeric))
}

/// Whether a built-in type of this name has this kind, whatever its modifier.
pub(super) fn is_named(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::Boolean => name == "bool",
        Kind::SmallInt => name == "int2",
        Kind::Integer => name == "int4",
        Kind::BigInt => matches!(name, "int8" | "oid" | "xid" | "cid"),
        Kind::Unsigned64 => name == "xid8",
        Kind::Real => name == "float4",
        Kind::Double => name == "float8",
        Kind::Decimal { .. } | Kind::Numeric => name == "numeric",
        Kind::Date => name == "date",
        Kind::Timestamp => name == "timestamp",
        Kind::TimestampTz => name == "timestamptz",
        Kind::Money => name == "money",
        Kind::Bytes => name == "bytea",
        Kind::Json => name == "json",
        Kind::Jsonb => name == "jsonb",
        Kind::Array { .. } => name.starts_with('_'),
        Kind::Hstore => false,
        Kind::PaddedText { .. } => name == "bpchar",
        Kind::Text | Kind::ShortText { .. } | Kind::Opaque => {
            const NUMBERS: &str = "bool int2 int4 int8 oid xid cid xid8 float4 float8 numeric money";
            const OTHERS: &str = "date timestamp timestamptz json jsonb bytea";
            !name.starts_with('_') && !NUMBERS.split(' ').chain(OTHERS.split(' ')).any(|other| other == name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modifier_gives_length_precision_and_scale() {
        let numeric = |precision: i32, scale: i32| (precision << 16 | scale & 0x7FF) + 4;
        let cases = [
            (VARCHAR, 24, Kind::ShortText { characters: 20 }),
            (VARCHAR, -1, Kind::Text),
            (BPCHAR, 7, Kind::PaddedText { characters: 3 }),
            (1562, 12, Kind::ShortText { characters: 12 }),
            (NUMERIC, -1, Kind::Numeric),
            (NUMERIC, numeric(10, 2), Kind::Decimal { precision: 10, scale: 2 }),
            (NUMERIC, numeric(1000, 1000), Kind::Decimal { precision: 1000, scale: 1000 }),
            (NUMERIC, numeric(3, -2), Kind::Decimal { precision: 3, scale: -2 }),
        ];
        for (oid, typmod, kind) in cases {
            assert_eq!(builtin(oid, typmod), Some(kind), "{oid} {typmod}");
        }
    }

    #[test]
    fn an_array_says_how_its_elements_are_written() {
        let array = |element, delimiter| Some(Kind::Array { element, delimiter });
        for (oid, kind) in [
            (1007, array(Element::Integer, b',')),
            (1231, array(Element::Text, b',')),
            (3807, array(Element::Json, b',')),
            (BOX_ARRAY, array(Element::Text, b';')),
        ] {
            assert_eq!(builtin(oid, -1), kind, "{oid}");
        }
    }

    #[test]
    fn a_type_of_postgresql_without_a_kind_of_its_own_goes_as_its_text() {
        for oid in [600, 3614, 3904, 4072] {
            assert_eq!(builtin(oid, -1), Some(Kind::Opaque), "{oid}");
        }
        for oid in [10_000, 16_384, u32::MAX] {
            assert_eq!(builtin(oid, -1), None, "{oid}");
        }
    }

    #[test]
    fn a_hostile_modifier_is_still_a_kind() {
        for typmod in [i32::MIN, -2, 0, 3, i32::MAX] {
            for oid in [VARCHAR, BPCHAR, NUMERIC, 1560] {
                assert!(builtin(oid, typmod).is_some());
            }
        }
    }

    #[test]
    fn a_family_is_told_from_other_types() {
        let (short, text) = (Kind::ShortText { characters: 20 }, Kind::Text);
        let decimal = Kind::Decimal { precision: 10, scale: 2 };
        assert!(is_of_one_family(text, short) && is_of_one_family(decimal, Kind::Numeric));
        assert!(!is_of_one_family(text, decimal) && !is_of_one_family(Kind::Integer, Kind::BigInt));
    }

    #[test]
    fn only_the_wider_holds_the_narrower() {
        let (short, long) = (Kind::ShortText { characters: 20 }, Kind::ShortText { characters: 40 });
        assert!(fits(short, long) && !fits(long, short));
        assert!(fits(Kind::SmallInt, Kind::BigInt) && !fits(Kind::BigInt, Kind::Integer));
        let decimal = |precision, scale| Kind::Decimal { precision, scale };
        assert!(fits(decimal(12, 2), decimal(14, 4)) && fits(decimal(12, 2), decimal(12, 2)));
        assert!(!fits(decimal(12, 2), decimal(12, 4)) && !fits(decimal(12, 2), decimal(20, 1)));
        assert!(fits(decimal(3, -2), decimal(5, 0)) && !fits(decimal(3, -2), decimal(4, 0)));
        assert!(!fits(Kind::Text, Kind::Json) && fits(Kind::Json, Kind::Json));
    }
}
