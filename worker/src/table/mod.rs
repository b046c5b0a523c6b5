//! A source table with its target: the description that both ends and the pipeline share.

mod facts;
mod representation;

use std::fmt;

pub use self::{
    facts::{Facts, Look},
    representation::{Difference, Representation},
};

/// A table of this job: its place in the job's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u32);

/// The name of a source table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

impl TableName {
    /// Reads `schema.name`, or a bare name of the schema `public`. The name may hold dots.
    pub fn parse(text: &str) -> Option<Self> {
        let (schema, name) = text.split_once('.').unwrap_or(("public", text));
        let named = !schema.is_empty() && !name.is_empty();
        named.then(|| Self { schema: schema.to_owned(), name: name.to_owned() })
    }

    /// The name of the target table. Two schemas never merge: all but `public` are in the name.
    pub fn target(&self) -> String {
        if self.schema == "public" { self.name.clone() } else { format!("{}__{}", self.schema, self.name) }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// One source table, its columns in the order in which PostgreSQL sends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub id: TableId,
    pub name: TableName,
    /// The table's name in StarRocks.
    pub target: String,
    pub columns: Vec<Column>,
    /// Places in `columns` of the primary key, in key order; never empty.
    pub key: Vec<usize>,
    /// The highest number that a column of the table ever had, including dropped ones.
    pub last_number: i32,
    /// Facts from the catalogue besides the columns.
    pub facts: Facts,
}

impl Table {
    /// Whether rows and target of both are the same. The facts are not compared: they differ after a TRUNCATE, too.
    pub fn has_shape_of(&self, other: &Self) -> bool {
        let Self { id, name, target, columns, key, last_number, facts: _ } = self;
        (id, name, target) == (&other.id, &other.name, &other.target)
            && (columns, key, last_number) == (&other.columns, &other.key, &other.last_number)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in the target, which is the source's latest.
    pub name: String,
    pub kind: Kind,
    /// The type as PostgreSQL names it, for messages.
    pub source_type: String,
    /// `attnum`: constant as long as the column exists, also when it is renamed.
    pub number: i32,
    /// The value of the column in rows that existed before it.
    pub fill: Fill,
    /// Whether the target has the column. It lacks a column that the source dropped before the target got it.
    pub stored: bool,
    /// What the text of its values depends on.
    pub representation: Representation,
}

/// The value of a table's rows in a column that is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fill {
    Null,
    /// One value, as text.
    Value(String),
    /// A different value in each row, which only the rows themselves contain.
    Unknown,
}

impl Column {
    /// A column that exists from the start.
    pub fn new(name: impl Into<String>, kind: Kind, source_type: impl Into<String>) -> Self {
        let (name, source_type) = (name.into(), source_type.into());
        Self {
            name,
            kind,
            source_type,
            number: 0,
            fill: Fill::Null,
            stored: true,
            representation: Representation::default(),
        }
    }
}

/// The kind of a source type: types of one kind are stored and written alike in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    SmallInt,
    Integer,
    /// `bigint`, and the unsigned 32-bit identifiers `oid`, `xid`, `cid`.
    BigInt,
    /// `xid8`: unsigned, 64 bits.
    Unsigned64,
    Real,
    Double,
    /// `numeric(precision, scale)`; the scale may be negative or beyond the precision.
    Decimal {
        precision: u16,
        scale: i16,
    },
    /// `numeric` without precision: any number of digits.
    Numeric,
    /// `money`, as `lc_monetary = C` writes it: `-$1,234.50`.
    Money,
    /// Text of any length.
    Text,
    /// Text of at most so many characters: `varchar(n)`, `uuid`, enums, `inet`, `time`, `interval` and their like.
    ShortText {
        characters: u32,
    },
    /// `char(n)`, padded with blanks that PostgreSQL does not compare.
    PaddedText {
        characters: u32,
    },
    /// Text whose equality is not that of its bytes, or is not known: `citext`, text in a nondeterministic collation,
    /// ranges, composites, geometry, and every type without another kind.
    Opaque,
    /// `bytea`, in hexadecimal.
    Bytes,
    Date,
    Timestamp,
    /// Sent in UTC: the session's time zone is UTC.
    TimestampTz,
    /// `json`, which keeps its input text, including duplicate keys.
    Json,
    Jsonb,
    /// An array of any dimensions.
    Array {
        element: Element,
        /// The delimiter between elements: a comma for all types but `box` and a few of extensions.
        delimiter: u8,
    },
    Hstore,
}

/// How the elements of an array are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Boolean,
    Integer,
    Float,
    Json,
    /// As a string, which holds every text; also `numeric`, to keep its digits.
    Text,
}

impl Kind {
    /// The canonical spelling of a key in the sink, among those that PostgreSQL treats as equal: it ignores blanks that
    /// pad a `char`, trailing zeros of a fraction, and the sign of zero. It is a part of the text, so no copy is made.
    #[inline]
    pub fn key_text(self, text: &[u8]) -> &[u8] {
        match self {
            Self::PaddedText { .. } => trim_end(text, b' '),
            Self::Numeric | Self::Decimal { .. } => without_last_zeros(text),
            Self::Real | Self::Double if text == b"-0" => b"0",
            Self::Bytes => text.strip_prefix(br"\x").unwrap_or(text),
            _ => text,
        }
    }
}

fn without_last_zeros(text: &[u8]) -> &[u8] {
    if !text.contains(&b'.') {
        return text;
    }
    let shorter = trim_end(text, b'0');
    shorter.strip_suffix(b".").unwrap_or(shorter)
}

fn trim_end(text: &[u8], filler: u8) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != filler).map_or(0, |last| last + 1);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_in_public() {
        assert_eq!(TableName::parse("orders").unwrap().to_string(), "public.orders");
    }

    #[test]
    fn tables_of_two_schemas_never_merge() {
        let target = |text| TableName::parse(text).unwrap().target();
        assert_eq!((target("public.t").as_str(), target("sales.t").as_str()), ("t", "sales__t"));
    }

    #[test]
    fn an_empty_part_is_no_name() {
        for text in ["", ".t", "s."] {
            assert_eq!(TableName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_has_one_spelling_of_those_that_are_equal() {
        let decimal = Kind::Decimal { precision: 10, scale: 2 };
        for (kind, text, expected) in [
            (Kind::PaddedText { characters: 5 }, " a   ", " a"),
            (Kind::PaddedText { characters: 2 }, "  ", ""),
            (Kind::Numeric, "1.00", "1"),
            (Kind::Numeric, "100", "100"),
            (Kind::Numeric, "0.010", "0.01"),
            (decimal, "-0.50", "-0.5"),
            (Kind::Numeric, "NaN", "NaN"),
            (Kind::Double, "-0", "0"),
            (Kind::Real, "1e-05", "1e-05"),
            (Kind::Bytes, "\\x00ff", "00ff"),
            (Kind::Text, "a ", "a "),
        ] {
            assert_eq!(kind.key_text(text.as_bytes()), expected.as_bytes(), "{kind:?} {text}");
        }
    }
}
