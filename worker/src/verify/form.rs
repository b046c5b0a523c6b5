//! The kind of canonical form that a column's values have, by its type at the source.

/// The kind of canonical form of a column's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Boolean,
    /// A number; trailing zeros of the fraction are not significant.
    Number,
    Real,
    Double,
    /// A text whose trailing blanks are not significant.
    Padded,
    /// A date, or a timestamp.
    Moment,
    Json,
    Bytes,
    Hstore,
    /// An array, with the delimiter of its elements at the source.
    Array(Box<Form>, char),
    Text,
}

impl Form {
    /// The form of a source type, by its name in PostgreSQL's catalogue. A type that is stored in a text column as
    /// PostgreSQL writes it has the form of a text, where it would have another in a document.
    pub(super) fn of(type_name: &str, array: Option<&Elements>, target_type: &str) -> Self {
        let is_document = target_type.eq_ignore_ascii_case("json");
        match (array, type_name) {
            (Some(elements), _) if is_document => {
                Self::Array(Box::new(Self::of_element(&elements.type_name)), elements.delimiter)
            }
            (Some(_), _) => Self::Text,
            (None, "json" | "jsonb") if !is_document => Self::Text,
            (None, "hstore") if is_document => Self::Hstore,
            (None, other) => Self::of_scalar(other),
        }
    }

    /// In a document bytes are their hexadecimal text, as is the text of every type that JSON has no form for.
    fn of_element(type_name: &str) -> Self {
        match Self::of_scalar(type_name) {
            Self::Bytes => Self::Text,
            form => form,
        }
    }

    fn of_scalar(type_name: &str) -> Self {
        match type_name {
            "bool" => Self::Boolean,
            "int2" | "int4" | "int8" | "oid" | "xid" | "cid" | "xid8" | "numeric" | "money" => Self::Number,
            "float4" => Self::Real,
            "float8" => Self::Double,
            "bpchar" => Self::Padded,
            "date" | "timestamp" | "timestamptz" => Self::Moment,
            "json" | "jsonb" => Self::Json,
            "bytea" => Self::Bytes,
            _ => Self::Text,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Sink,
}

/// The elements of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elements {
    /// The base type, below any domains.
    pub(super) type_name: String,
    pub(super) delimiter: char,
}
