//! A source table with its target: the shape that both ends and the pipeline agree on.

use std::fmt;

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
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// The type as PostgreSQL names it, for messages.
    pub source_type: String,
}

/// What a source type means for the target: types of one kind are stored and written alike.
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
    Date,
    Timestamp,
    /// Sent in UTC: the session's time zone is UTC.
    TimestampTz,
    Json,
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
}
