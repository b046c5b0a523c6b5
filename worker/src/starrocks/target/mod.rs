//! The column types of StarRocks: how they are written, and which of them can hold the values of another.
//!
//! Pure.

mod choice;

use std::fmt;

pub(crate) use self::choice::{key_type, target_type};

/// The longest VARCHAR and VARBINARY, in bytes.
pub(crate) const LONGEST_TEXT: u32 = 1_048_576;
/// The longest encoded key, in bytes.
pub(crate) const LONGEST_KEY: u32 = 128;

/// A column type of StarRocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    LargeInt,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// The length is in bytes.
    Varchar(u32),
    /// Of the greatest length, `LONGEST_TEXT`.
    Varbinary,
    Date,
    DateTime,
    Json,
}

impl TargetType {
    /// Reads a type as DESC prints it: `decimal(10,2)`, `varchar(20)`, `tinyint(4)`, `datetime`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name.trim().to_owned(), rest.strip_suffix(')')?.to_owned()),
            None => (text, String::new()),
        };
        let mut arguments = arguments.split(',').map(|argument| argument.trim().parse::<u32>().ok());
        let first = arguments.next().flatten();
        Some(match name.as_str() {
            "boolean" => Self::Boolean,
            "tinyint" => Self::TinyInt,
            "smallint" => Self::SmallInt,
            "int" => Self::Int,
            "bigint" => Self::BigInt,
            "largeint" => Self::LargeInt,
            "float" => Self::Float,
            "double" => Self::Double,
            "varchar" => Self::Varchar(first?),
            "date" => Self::Date,
            "datetime" => Self::DateTime,
            "json" => Self::Json,
            "varbinary" if first.is_none_or(|length| length == LONGEST_TEXT) => Self::Varbinary,
            name if name.starts_with("decimal") => {
                let scale = arguments.next().flatten().unwrap_or(0);
                Self::Decimal { precision: u8::try_from(first?).ok()?, scale: u8::try_from(scale).ok()? }
            }
            _ => return None,
        })
    }

    /// Whether a column of this type holds every value of `needed` or refuses it with an error.
    ///
    /// A shorter VARCHAR is accepted, because in strict mode StarRocks refuses a text that is too long. A DECIMAL with fewer
    /// places is not, because StarRocks rounds without an error.
    pub(crate) fn holds(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Decimal { precision, scale }, Self::Decimal { precision: needed, scale: places }) => {
                scale >= places
                    && i16::from(precision) - i16::from(scale) >= i16::from(needed) - i16::from(places)
            }
            (Self::Varchar(_), Self::Varchar(_))
            | (Self::Double, Self::Float)
            | (Self::DateTime, Self::Date) => true,
            (found, needed) => match (found.integer_width(), needed.integer_width()) {
                (Some(found), Some(needed)) => found >= needed,
                _ => found == needed,
            },
        }
    }

    /// Whether StarRocks can alter a column of this type to `wider` without changing a value.
    pub(crate) fn widens_to(self, wider: Self) -> bool {
        match (self, wider) {
            (Self::Varchar(found), Self::Varchar(length)) => found < length,
            (Self::Decimal { precision, scale }, Self::Decimal { precision: digits, scale: places }) => {
                scale <= places && precision - scale <= digits - places && precision < digits
            }
            (found, wider) => {
                found.integer_width().is_some() && found.integer_width() < wider.integer_width()
            }
        }
    }

    fn integer_width(self) -> Option<u8> {
        match self {
            Self::TinyInt => Some(1),
            Self::SmallInt => Some(2),
            Self::Int => Some(4),
            Self::BigInt => Some(8),
            Self::LargeInt => Some(16),
            _ => None,
        }
    }

    /// Bytes in an encoded key; none when they depend on the value or the type cannot be a key.
    pub(crate) fn key_width(self) -> Option<u32> {
        match self {
            Self::Boolean => Some(1),
            Self::Date => Some(4),
            Self::DateTime => Some(8),
            integer => integer.integer_width().map(u32::from),
        }
    }
}

impl fmt::Display for TargetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("BOOLEAN"),
            Self::TinyInt => f.write_str("TINYINT"),
            Self::SmallInt => f.write_str("SMALLINT"),
            Self::Int => f.write_str("INT"),
            Self::BigInt => f.write_str("BIGINT"),
            Self::LargeInt => f.write_str("LARGEINT"),
            Self::Float => f.write_str("FLOAT"),
            Self::Double => f.write_str("DOUBLE"),
            Self::Decimal { precision, scale } => write!(f, "DECIMAL({precision},{scale})"),
            Self::Varchar(length) => write!(f, "VARCHAR({length})"),
            Self::Varbinary => f.write_str("VARBINARY"),
            Self::Date => f.write_str("DATE"),
            Self::DateTime => f.write_str("DATETIME"),
            Self::Json => f.write_str("JSON"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_type_will_do_when_nothing_is_lost_in_silence() {
        for (found, needed, will_do) in [
            ("bigint", "int", true),
            ("tinyint(4)", "smallint", false),
            ("largeint(40)", "bigint", true),
            ("boolean", "tinyint", false),
            ("decimal(12,2)", "decimal(10,2)", true),
            ("decimal64(10, 2)", "decimal(10,2)", true),
            ("decimal(12,1)", "decimal(10,2)", false),
            ("decimal(12,4)", "decimal(10,2)", true),
            ("decimal(10,4)", "decimal(10,2)", false),
            ("varchar(20)", "varchar(1048576)", true),
            ("double", "float", true),
            ("float", "double", false),
            ("datetime", "date", true),
            ("date", "datetime", false),
            ("json", "varchar(10)", false),
        ] {
            let read = |text| TargetType::read(text).unwrap();
            assert_eq!(read(found).holds(read(needed)), will_do, "{found} for {needed}");
        }
    }

    #[test]
    fn a_type_reads_as_it_prints_and_others_are_unknown() {
        for text in ["BOOLEAN", "LARGEINT", "DECIMAL(38,9)", "VARCHAR(20)", "DATETIME", "JSON", "VARBINARY"] {
            assert_eq!(TargetType::read(text).unwrap().to_string(), text);
        }
        for text in [
            "array<int>",
            "varbinary(20)",
            "varchar",
            "decimal(x,y)",
            "decimal(999,1)",
            "",
            "char(5)",
            "varchar(5",
        ] {
            assert_eq!(TargetType::read(text), None, "{text}");
        }
    }
}
