//! What becomes of values that StarRocks cannot hold: one choice for each kind of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// What becomes of values that StarRocks cannot hold, by what they are. Every one is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Values {
    /// Dates and timestamps that are infinite, before the year 1 or after 9999: Halt the table; store Null; or
    /// create such columns as VARCHAR and store their Text.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::column_types()))]
    pub dates: Unfit,
    /// NaN in numeric columns that are DECIMAL in StarRocks: Halt, Null or Text.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::column_types()))]
    pub decimals: Unfit,
    /// In json, jsonb, hstore and arrays: numbers beyond a double, keys that come twice, \u0000, halves of
    /// surrogate pairs, more than 16 MiB, and the JSON value null: Halt, Null or Text.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::column_types()))]
    pub json: Unfit,
    /// Numbers in JSON with more digits than 64 bits or a double can hold: Exact (they are treated as `json`
    /// says) or Round (they become the nearest double).
    #[serde(default)]
    pub json_numbers: JsonNumbers,
    /// Text and bytea of more than 1 MiB: Halt, Null, or Truncate.
    #[serde(default)]
    pub too_long: TooLong,
}

/// What becomes of a value that its column cannot hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Unfit {
    /// The table stops, with the reason, until a person acts.
    #[default]
    Halt,
    /// The value is stored as NULL.
    Null,
    /// Such columns are VARCHAR from the start, and hold every value as its text.
    Text,
}

/// What becomes of a number in JSON that has too many digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum JsonNumbers {
    /// Its value is one that StarRocks cannot hold.
    #[default]
    Exact,
    /// It becomes the nearest double.
    Round,
}

/// What becomes of a value that is too long for StarRocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TooLong {
    /// The table stops, with the reason, until a person acts.
    #[default]
    Halt,
    /// The value is stored as NULL.
    Null,
    /// Its first part is stored.
    Truncate,
}
