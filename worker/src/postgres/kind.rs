//! What PostgreSQL's own types mean for the target.
//!
//! In: type oid and type modifier, as the catalogue and pgoutput give them. Out: the [`Kind`], or nothing
//! for a type that has no loss-free form yet.

use crate::table::Kind;

const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const NUMERIC: u32 = 1700;

/// Every type below this was there at `initdb` and means the same on every server.
pub(super) const FIRST_OWN_OID: u32 = 16_384;

/// Longest label of an enum, and longest `name`, in characters.
pub(super) const NAME_CHARACTERS: u32 = 63;

/// The kind of a type that is built into PostgreSQL.
pub(super) fn builtin(oid: u32, typmod: i32) -> Option<Kind> {
    let short = |characters| Some(Kind::ShortText { characters });
    match oid {
        16 => Some(Kind::Boolean),
        21 => Some(Kind::SmallInt),
        23 => Some(Kind::Integer),
        20 | 26 | 28 | 29 => Some(Kind::BigInt), // bigint, oid, xid, cid
        5069 => Some(Kind::Unsigned64),          // xid8
        700 => Some(Kind::Real),
        701 => Some(Kind::Double),
        NUMERIC => Some(numeric(typmod)),
        25 | 142 => Some(Kind::Text), // text, xml
        VARCHAR => Some(sized(typmod, 4).map_or(Kind::Text, |characters| Kind::ShortText { characters })),
        BPCHAR => Some(sized(typmod, 4).map_or(Kind::Text, |characters| Kind::PaddedText { characters })),
        1560 | 1562 => Some(sized(typmod, 0).map_or(Kind::Text, |characters| Kind::ShortText { characters })), // bit, varbit
        18 => short(4), // "char": one byte, written as \ooo when it is not ASCII
        19 => short(NAME_CHARACTERS),
        2950 => short(36),      // uuid
        650 | 869 => short(50), // cidr, inet: IPv6 with an embedded IPv4 and a prefix length
        829 => short(17),       // macaddr
        774 => short(23),       // macaddr8
        3220 => short(17),      // pg_lsn
        1083 => short(15),      // time
        1266 => short(32),      // timetz
        1186 => short(80),      // interval in ISO 8601, every field at its longest
        1082 => Some(Kind::Date),
        1114 => Some(Kind::Timestamp),
        1184 => Some(Kind::TimestampTz),
        114 | 3802 => Some(Kind::Json),
        _ => None,
    }
}

/// The length in a modifier that counts `header` bytes before it; none when there is no limit.
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
    use Kind::{BigInt, Decimal, Integer, Numeric, PaddedText, ShortText, SmallInt, Text};
    match (narrow, wide) {
        (SmallInt, Integer | BigInt)
        | (Integer, BigInt)
        | (ShortText { .. }, Text)
        | (Decimal { .. }, Numeric) => true,
        (ShortText { characters }, ShortText { characters: limit })
        | (PaddedText { characters }, PaddedText { characters: limit }) => characters <= limit,
        (Decimal { precision, scale }, Decimal { precision: digits, scale: places }) => {
            scale == places && precision <= digits
        }
        (narrow, wide) => narrow == wide,
    }
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
        Kind::Json => matches!(name, "json" | "jsonb"),
        Kind::PaddedText { .. } => name == "bpchar",
        Kind::Text | Kind::ShortText { .. } => {
            const NUMBERS: &str = "bool int2 int4 int8 oid xid cid xid8 float4 float8 numeric";
            const OTHERS: &str = "date timestamp timestamptz json jsonb bytea";
            !NUMBERS.split(' ').chain(OTHERS.split(' ')).any(|other| other == name)
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
    fn a_hostile_modifier_is_still_a_kind() {
        for typmod in [i32::MIN, -2, 0, 3, i32::MAX] {
            for oid in [VARCHAR, BPCHAR, NUMERIC, 1560] {
                assert!(builtin(oid, typmod).is_some());
            }
        }
    }

    #[test]
    fn only_the_wider_holds_the_narrower() {
        let (short, long) = (Kind::ShortText { characters: 20 }, Kind::ShortText { characters: 40 });
        assert!(fits(short, long) && !fits(long, short));
        assert!(fits(Kind::SmallInt, Kind::BigInt) && !fits(Kind::BigInt, Kind::Integer));
        assert!(!fits(Kind::Text, Kind::Json) && fits(Kind::Json, Kind::Json));
    }
}
