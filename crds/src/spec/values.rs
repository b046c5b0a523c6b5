//! What happens to values that StarRocks cannot represent: one choice for each kind of value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// What happens to values that StarRocks cannot represent, by kind. Every one is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Values {
    /// Dates and timestamps that are infinite, before the year 1 or after 9999: Halt the table; store Null; or Text:
    /// create such columns as VARCHAR.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::column_types()))]
    pub dates: Unfit,
    /// NaN in numeric columns that are DECIMAL in StarRocks: Halt, Null or Text.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::column_types()))]
    pub decimals: Unfit,
    /// In json, jsonb, hstore and arrays: numbers beyond a double, duplicate keys, \u0000, unpaired surrogates,
    /// more than 16 MiB, and the JSON value null: Halt, Null or Text.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::column_types()))]
    pub json: Unfit,
    /// Numbers in JSON with more digits than 64 bits or a double can hold: Exact (treated as `json` says) or Round (to
    /// the nearest double).
    #[serde(default)]
    pub json_numbers: JsonNumbers,
    /// Text and bytea of more than 1 MiB: Halt, Null, or Truncate.
    #[serde(default)]
    pub too_long: TooLong,
}

/// What happens to a value that its column cannot represent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Unfit {
    /// The table is halted, with the reason, until a person acts.
    #[default]
    Halt,
    /// The value is stored as NULL.
    Null,
    /// Such columns are created as VARCHAR, and every value is stored as text.
    Text,
}

/// What happens to a number in JSON that has too many digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum JsonNumbers {
    /// The number counts as one that StarRocks cannot represent.
    #[default]
    Exact,
    /// The number is rounded to the nearest double.
    Round,
}

/// What happens to a value that is too long for StarRocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TooLong {
    /// The table is halted, with the reason, until a person acts.
    #[default]
    Halt,
    /// The value is stored as NULL.
    Null,
    /// The beginning of the value is stored.
    Truncate,
}
