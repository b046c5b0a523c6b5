//! Column types, and the four ways in which StarRocks writes their names.

use crate::Profile;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SqlType {
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
    Char(u32),
    Varchar(u32),
    Varbinary(Option<u32>),
    Date,
    DateTime,
    /// Exists only in expressions; no column can have this type (§8.2).
    Time,
    Json,
    Array(Box<SqlType>),
    Map(Box<SqlType>, Box<SqlType>),
    Struct(Vec<(String, SqlType)>),
}

pub(crate) const MAX_VARCHAR: u32 = 1_048_576;
pub(crate) const STRING_LENGTH: u32 = 65_533;

/// The statement or message whose spelling of types is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypeNames {
    /// DESC and SHOW COLUMNS: `decimal(10,2)`, `int`.
    Describe,
    /// SHOW CREATE TABLE and most messages: `decimal(10, 2)`, `int(11)`.
    Create,
    /// `information_schema.columns.COLUMN_TYPE`.
    Information,
    /// The messages of ALTER: `DECIMAL128(20,0)`, `INT`.
    Internal,
}

impl SqlType {
    pub(crate) fn integer_range(&self) -> Option<(i128, i128)> {
        match self {
            Self::TinyInt => Some((i8::MIN.into(), i8::MAX.into())),
            Self::SmallInt => Some((i16::MIN.into(), i16::MAX.into())),
            Self::Int => Some((i32::MIN.into(), i32::MAX.into())),
            Self::BigInt => Some((i64::MIN.into(), i64::MAX.into())),
            Self::LargeInt => Some((i128::MIN, i128::MAX)),
            _ => None,
        }
    }

    /// Number of bytes that a value takes in an encoded key; `None` for text (§9.1).
    pub(crate) fn key_width(&self) -> Option<usize> {
        match self {
            Self::Boolean | Self::TinyInt => Some(1),
            Self::SmallInt => Some(2),
            Self::Int | Self::Date => Some(4),
            Self::BigInt | Self::DateTime => Some(8),
            Self::LargeInt => Some(16),
            _ => None,
        }
    }

    pub(crate) fn can_be_key(&self) -> bool {
        self.key_width().is_some() || matches!(self, Self::Varchar(_))
    }

    /// Whether a merge condition can compare values of this type: numbers and dates (§9.4).
    pub(crate) fn is_ordered(&self) -> bool {
        let is_number = self.integer_range().is_some() || matches!(self, Self::Decimal { .. });
        is_number || matches!(self, Self::Float | Self::Double | Self::Date | Self::DateTime)
    }

    pub(crate) fn fits_csv(&self) -> bool {
        !matches!(self, Self::Struct(_) | Self::Decimal { precision: 39.., .. })
    }

    /// The maximum length of a text or binary value, in bytes.
    pub(crate) fn max_bytes(&self) -> Option<usize> {
        match self {
            Self::Char(length) | Self::Varchar(length) => Some(*length as usize),
            Self::Varbinary(length) => Some(length.unwrap_or(MAX_VARCHAR) as usize),
            _ => None,
        }
    }

    pub(crate) fn print(&self, names: TypeNames, profile: Profile) -> String {
        match (self, names) {
            (Self::Array(item), _) => composite("array", &[item.print(names, profile)], names),
            (Self::Map(key, value), _) => {
                composite("map", &[key.print(names, profile), value.print(names, profile)], names)
            }
            (Self::Struct(fields), _) => {
                let fields =
                    fields.iter().map(|(name, field)| format!("{name} {}", field.print(names, profile)));
                composite("struct", &fields.collect::<Vec<_>>(), names)
            }
            (_, TypeNames::Describe) => self.describe(profile),
            (_, TypeNames::Create) => self.create_name(profile),
            (_, TypeNames::Information) => self.information_name(profile),
            (_, TypeNames::Internal) => self.internal_name(profile),
        }
    }

    fn describe(&self, profile: Profile) -> String {
        match self {
            Self::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
            Self::Char(length) => format!("char({length})"),
            Self::Varchar(length) => format!("varchar({length})"),
            Self::Varbinary(Some(length)) => format!("varbinary({length})"),
            Self::Varbinary(None) if profile.prints_varbinary_length() => format!("varbinary({MAX_VARCHAR})"),
            _ => self.word().to_owned(),
        }
    }

    fn create_name(&self, profile: Profile) -> String {
        match self {
            Self::TinyInt => "tinyint(4)".to_owned(),
            Self::SmallInt => "smallint(6)".to_owned(),
            Self::Int => "int(11)".to_owned(),
            Self::BigInt => "bigint(20)".to_owned(),
            Self::LargeInt => "largeint(40)".to_owned(),
            Self::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
            _ => self.describe(profile),
        }
    }

    fn information_name(&self, profile: Profile) -> String {
        match self {
            Self::Boolean => "tinyint(1)".to_owned(),
            Self::LargeInt => "bigint(20) unsigned".to_owned(),
            _ => self.create_name(profile),
        }
    }

    fn internal_name(&self, profile: Profile) -> String {
        let width = |precision: u8| match precision {
            0..=9 => 32,
            10..=18 => 64,
            19..=38 => 128,
            _ => 256,
        };
        match self {
            Self::Decimal { precision, scale } => {
                format!("DECIMAL{}({precision},{scale})", width(*precision))
            }
            Self::Char(_) | Self::Varchar(_) | Self::Varbinary(_) => self.word().to_uppercase(),
            _ => self.describe(profile).to_uppercase(),
        }
    }

    /// `information_schema.columns.DATA_TYPE`.
    pub(crate) fn data_type(&self) -> &'static str {
        match self {
            Self::Boolean => "tinyint",
            Self::LargeInt => "bigint unsigned",
            _ => self.word(),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::LargeInt => "largeint",
            Self::Float => "float",
            Self::Double => "double",
            Self::Decimal { .. } => "decimal",
            Self::Char(_) => "char",
            Self::Varchar(_) => "varchar",
            Self::Varbinary(_) => "varbinary",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Time => "time",
            Self::Json => "json",
            Self::Array(_) => "array",
            Self::Map(..) => "map",
            Self::Struct(_) => "struct",
        }
    }

    /// Checks whether ALTER may change a column of this type to another type (§12.6).
    pub(crate) fn check_change(&self, to: &Self, profile: Profile) -> Result<(), String> {
        let refused = || {
            let name = |sql_type: &Self| sql_type.print(TypeNames::Internal, profile);
            Err(format!("Can not change {} to {}", name(self), name(to)))
        };
        match (self, to) {
            (from, to) if from == to => Ok(()),
            (Self::Varchar(from) | Self::Char(from), Self::Varchar(to)) if to < from => {
                Err("Cannot shorten string length".to_owned())
            }
            (Self::Char(from), Self::Char(to)) if to < from => Err("Cannot shorten string length".to_owned()),
            (Self::Json, Self::Varchar(length)) if *length < 1024 => {
                Err("JSON needs minimum length of 1024".to_owned())
            }
            (from, to) if from.widens_to(to) => Ok(()),
            _ => refused(),
        }
    }

    fn widens_to(&self, to: &Self) -> bool {
        match (self, to) {
            (Self::Boolean, _) | (_, Self::Boolean) => false,
            (Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt | Self::Float, Self::Double) => true,
            (Self::Float | Self::Double | Self::Decimal { .. } | Self::Json, Self::Varchar(_)) => true,
            (Self::Char(_) | Self::Varchar(_), Self::Varchar(_)) | (Self::Char(_), Self::Char(_)) => true,
            (
                Self::Varchar(_),
                Self::TinyInt
                | Self::SmallInt
                | Self::Int
                | Self::BigInt
                | Self::LargeInt
                | Self::Float
                | Self::Double
                | Self::Date
                | Self::Json
                | Self::Decimal { .. },
            ) => true,
            (Self::Date, Self::DateTime) | (Self::DateTime, Self::Date) => true,
            (
                Self::Decimal { precision, scale },
                Self::Decimal { precision: to_precision, scale: to_scale },
            ) => {
                to_scale >= scale
                    && i16::from(*to_precision) - i16::from(*to_scale) >= i16::from(precision - scale)
            }
            (from, to) => match (from.integer_range(), to) {
                (Some(_), Self::Varchar(_)) => true,
                (Some((_, from)), to) => to.integer_range().is_some_and(|(_, to)| to > from),
                _ => false,
            },
        }
    }
}

fn composite(word: &str, parts: &[String], names: TypeNames) -> String {
    let separator = if names == TypeNames::Describe { "," } else { ", " };
    let text = format!("{word}<{}>", parts.join(separator));
    if names == TypeNames::Internal { text.to_uppercase() } else { text }
}
